//! The server alone, for containers: what `kidu serve` runs, without the rest of the command.

use std::{path::PathBuf, process::ExitCode};

use clap::{Parser, ValueHint};
use kidu_kernels::CacheAligned;
use kidu_serve::{
    ServeError,
    server::{self, ServeOptions, package},
};
use kidu_telemetry::logs;

/// The kernels want their memory at cache lines; requests allocate and free the same sizes over and over.
#[global_allocator]
static ALLOCATOR: CacheAligned<mimalloc::MiMalloc> = CacheAligned(mimalloc::MiMalloc);

kidu_serve::small_pages_from_the_start!();

/// Serve predictions of a bundle over HTTP.
#[derive(Parser)]
#[command(
    name = "kidu-serve",
    version,
    after_help = "The zip file of a Lambda function is written by `kidu-serve package-lambda`; see its --help."
)]
struct Serve {
    #[command(flatten)]
    options: ServeOptions,
}

/// Write the zip file of a Lambda function: bootstrap and bundle.
#[derive(Parser)]
#[command(name = "kidu-serve package-lambda", version)]
struct PackageLambda {
    /// The bundle's folder.
    #[arg(long, env = "KIDU_BUNDLE", value_name = "DIR", value_hint = ValueHint::DirPath)]
    bundle: PathBuf,
    /// The binary that `cargo build --release -p kidu-lambda` makes.
    #[arg(long, value_name = "FILE", default_value = "target/release/bootstrap", value_hint = ValueHint::FilePath)]
    binary: PathBuf,
    /// The zip file.
    #[arg(long, value_name = "FILE", default_value = "lambda.zip", value_hint = ValueHint::FilePath)]
    out: PathBuf,
}

fn main() -> ExitCode {
    let mut arguments = std::env::args_os();
    let outcome = match arguments.nth(1) {
        Some(verb) if verb == "package-lambda" => pack(&PackageLambda::parse_from([verb].into_iter().chain(arguments))),
        _ => serve(&Serve::parse().options),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say_error(&error);
            ExitCode::from(if matches!(error, ServeError::Setting(_)) { 2 } else { 1 })
        }
    }
}

fn serve(options: &ServeOptions) -> Result<(), ServeError> {
    logs::install(&options.log);
    server::run(options, |address| say(&format!("listening on http://{address}")))
}

fn pack(arguments: &PackageLambda) -> Result<(), ServeError> {
    let package = package::package_lambda(&arguments.bundle, &arguments.binary, &arguments.out)?;
    let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
    say(&format!(
        "{}: {} with bootstrap, {:.1} MiB ({:.1} MiB unpacked), SHA-256 {}",
        package.path.display(),
        package.model,
        mib(package.bytes),
        mib(package.unpacked),
        package.sha256
    ));
    if package.bytes > package::DIRECT_LIMIT {
        say("more than 50 MiB: upload it through S3");
    }
    Ok(())
}

#[expect(clippy::print_stdout, reason = "what the command has to say")]
fn say(line: &str) {
    println!("{line}");
}

#[expect(clippy::print_stderr, reason = "why the command failed")]
fn say_error(error: &ServeError) {
    eprintln!("error: {error}");
}
