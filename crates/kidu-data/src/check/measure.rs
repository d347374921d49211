//! Measuring all files of a survey: in parallel, and only those that are new.

use std::path::{Path, PathBuf};

use kidu_core::Progress;
use rayon::prelude::*;

use super::{
    cache::{Cache, Stamp},
    facts::Facts,
    survey::Survey,
};
use crate::{error::Result, settings::DataSettings};

/// What was measured, in the order of the survey's files.
#[derive(Clone, Debug)]
pub struct Measured {
    /// One for each file.
    pub facts: Vec<Facts>,
    /// How many were taken from the cache.
    pub from_cache: usize,
}

/// Reads, hashes, decodes and measures every file of a survey that `cache` does not know, on
/// [`DataSettings::workers`] threads, and writes the cache anew. The result is the same with and without a cache and on
/// any number of threads.
///
/// # Errors
/// [`DataError::Workers`](crate::DataError::Workers). Files that cannot be read are part of the result; a cache
/// that cannot be written is told of and done without.
pub fn measure(
    survey: &Survey,
    settings: &DataSettings,
    cache: Option<&Path>,
    progress: &dyn Progress,
) -> Result<Measured> {
    let limits = settings.limits();
    let known = cache.map(|path| Cache::load(path, &limits)).unwrap_or_default();
    let pool = settings.pool()?;
    progress.begin("check images", "images", Some(survey.files.len() as u64));
    let measure = |file: &super::survey::SurveyFile| {
        let path: PathBuf = survey.root.join(&file.path);
        let stamp = Stamp::of(&path);
        let (facts, cached) = match known.get(&file.path, stamp) {
            Some(facts) => (facts.clone(), true),
            None => (Facts::of_file(&path, &limits), false),
        };
        progress.advance(1);
        (stamp, facts, cached)
    };
    let measured: Vec<(Option<Stamp>, Facts, bool)> = pool.install(|| survey.files.par_iter().map(measure).collect());
    progress.end();
    let from_cache = measured.iter().filter(|m| m.2).count();
    if let Some(path) = cache.filter(|_| from_cache < measured.len()) {
        let lines = survey.files.iter().zip(&measured).map(|(file, m)| (file.path.as_str(), m.0, &m.1));
        if let Err(error) = Cache::save(path, &limits, lines) {
            progress.note(&format!("the measurements are not kept for the next check: {error}"));
        }
    }
    Ok(Measured { facts: measured.into_iter().map(|m| m.1).collect(), from_cache })
}
