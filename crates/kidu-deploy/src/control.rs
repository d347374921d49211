//! How other commands talk to the supervisor: HTTP on loopback, with a token that only the folder's owner can read.

use std::{
    fs,
    io::Write,
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use serde::{Deserialize, Serialize};
use tokio::{
    net::TcpListener,
    sync::{Semaphore, mpsc::UnboundedSender, oneshot},
};

use crate::{
    client::Call,
    error::{DeployError, Result},
    status::Status,
};

const MOST: usize = 64 << 10;
const CONNECTIONS: u32 = 32;
/// Longer than any command takes: none of them waits for a release.
const ANSWER: Duration = Duration::from_secs(60);
/// The end waits for requests that were begun, and for servers.
const END: Duration = Duration::from_secs(600);
/// How long the last answers may take to go out.
const LAST: Duration = Duration::from_secs(5);

/// What can be asked of the supervisor.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "snake_case")]
pub enum Command {
    /// Deploy a version, or the newest approved one.
    Run {
        /// The version.
        version: Option<u32>,
        /// Who.
        actor: String,
        /// Why.
        reason: Option<String>,
    },
    /// Let what waits go to production.
    Approve {
        /// The version that is meant, if it is said.
        version: Option<u32>,
        /// Who.
        actor: String,
        /// Why.
        reason: Option<String>,
    },
    /// Take the release under way back.
    Reject {
        /// Who.
        actor: String,
        /// Why.
        reason: String,
    },
    /// Bring an earlier version back.
    Rollback {
        /// Which; nothing for the one before.
        to: Option<u32>,
        /// Who.
        actor: String,
        /// Why.
        reason: Option<String>,
    },
    /// Tell how it is.
    Status,
    /// End in order.
    Stop,
}

/// What the supervisor says.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "answer", content = "with", rename_all = "snake_case")]
pub enum Answer {
    /// It is done; how it is now.
    Done(Box<Status>),
    /// It must not be done.
    Refused(String),
    /// It cannot be done.
    Failed(String),
}

/// A command with the place for its answer.
pub(crate) type Asked = (Command, oneshot::Sender<Answer>);

/// Where the supervisor listens.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Access {
    /// The port on loopback.
    pub port: u16,
    /// Who has it may command.
    token: String,
    /// The supervisor's process.
    pub pid: u32,
}

fn access_path(dir: &Path) -> PathBuf {
    dir.join("control.json")
}

/// Listens for commands.
pub(crate) struct Control {
    listener: TcpListener,
    token: Arc<String>,
}

impl Control {
    /// Takes a free port and writes down where it is and with what token.
    pub(crate) async fn open(dir: &Path) -> Result<Self> {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let bind = |source| DeployError::Bind { what: "commands", address, source };
        let listener = TcpListener::bind(address).await.map_err(bind)?;
        let port = listener.local_addr().map_err(bind)?.port();
        let token = format!("{:032x}{:032x}", rand::random::<u128>(), rand::random::<u128>());
        let access = Access { port, token: token.clone(), pid: std::process::id() };
        write_private(&access_path(dir), &serde_json::to_vec(&access).unwrap_or_default())?;
        Ok(Self { listener, token: Arc::new(token) })
    }

    /// Takes commands until the other end of `end` is gone, and then waits a little for the last answers to go out.
    pub(crate) async fn serve(self, asked: UnboundedSender<Asked>, end: oneshot::Receiver<()>) {
        let places = Arc::new(Semaphore::new(CONNECTIONS as usize));
        tokio::select! {
            biased;
            _ = end => {}
            () = self.accept(&places, asked) => {}
        }
        let _ = tokio::time::timeout(LAST, places.acquire_many(CONNECTIONS)).await;
    }

    async fn accept(&self, places: &Arc<Semaphore>, asked: UnboundedSender<Asked>) {
        loop {
            let Ok(place) = Arc::clone(places).acquire_owned().await else { return };
            let Ok((stream, _)) = self.listener.accept().await else {
                tokio::time::sleep(Duration::from_millis(10)).await;
                continue;
            };
            let (token, asked) = (Arc::clone(&self.token), asked.clone());
            let service = service_fn(move |request| {
                let (token, asked) = (Arc::clone(&token), asked.clone());
                async move { Ok::<_, std::convert::Infallible>(answer(request, &token, &asked).await) }
            });
            tokio::spawn(async move {
                let mut builder = http1::Builder::new();
                builder.timer(TokioTimer::new()).header_read_timeout(Duration::from_secs(5)).keep_alive(false);
                let _ = tokio::time::timeout(END, builder.serve_connection(TokioIo::new(stream), service)).await;
                drop(place);
            });
        }
    }
}

/// Removes the note where commands are taken.
pub(crate) fn close(dir: &Path) {
    let _ = fs::remove_file(access_path(dir));
}

async fn answer(request: Request<Incoming>, token: &str, asked: &UnboundedSender<Asked>) -> Response<Full<Bytes>> {
    let refuse = |status| {
        let mut response = Response::new(Full::default());
        *response.status_mut() = status;
        response
    };
    let given = request.headers().get(header::AUTHORIZATION).and_then(|v| v.to_str().ok());
    if !given.and_then(|v| v.strip_prefix("Bearer ")).is_some_and(|given| same(given, token)) {
        return refuse(StatusCode::UNAUTHORIZED);
    }
    if request.method() != Method::POST {
        return refuse(StatusCode::METHOD_NOT_ALLOWED);
    }
    let Ok(body) = Limited::new(request.into_body(), MOST).collect().await else {
        return refuse(StatusCode::BAD_REQUEST);
    };
    let Ok(command) = serde_json::from_slice::<Command>(&body.to_bytes()) else {
        return refuse(StatusCode::BAD_REQUEST);
    };
    let (reply, answered) = oneshot::channel();
    if asked.send((command, reply)).is_err() {
        return refuse(StatusCode::SERVICE_UNAVAILABLE);
    }
    let Ok(answer) = answered.await else { return refuse(StatusCode::SERVICE_UNAVAILABLE) };
    match serde_json::to_vec(&answer) {
        Ok(text) => Response::new(Full::new(Bytes::from(text))),
        Err(_) => refuse(StatusCode::INTERNAL_SERVER_ERROR),
    }
}

/// Takes as long wherever the texts differ.
fn same(one: &str, two: &str) -> bool {
    let differences = one.bytes().zip(two.bytes()).fold(0, |d, (a, b)| d | (a ^ b));
    one.len() == two.len() && std::hint::black_box(differences) == 0
}

/// Writes a file that only its owner can read.
fn write_private(path: &Path, bytes: &[u8]) -> Result<()> {
    let io = |e| kidu_core::Error::io("write", path, e);
    // Such files are made with the mode 0600.
    let mut file = tempfile::NamedTempFile::new_in(kidu_core::files::parent_of(path)).map_err(io)?;
    file.write_all(bytes).and_then(|()| file.as_file().sync_all()).map_err(io)?;
    file.persist(path).map_err(|e| io(e.error))?;
    Ok(())
}

/// Sends a command to the supervisor of a folder and waits for its answer.
///
/// # Errors
/// [`DeployError::NotRunning`], [`DeployError::Refused`] and [`DeployError::State`] as the supervisor says.
pub fn call(dir: &Path, command: &Command) -> Result<Status> {
    let not_running = || DeployError::NotRunning { dir: dir.to_path_buf() };
    let path = access_path(dir);
    if !path.exists() {
        return Err(not_running());
    }
    let access: Access = kidu_core::files::read_json(&path, "address of the supervisor")?;
    let url = format!("http://127.0.0.1:{}/", access.port);
    let body = serde_json::to_vec(command).map_err(|e| DeployError::State(e.to_string()))?;
    let patience = if *command == Command::Stop { END } else { ANSWER };
    let mut call = Call::post(&url, "application/json", body, patience);
    call.token = Some(&access.token);
    let reply = match block_on(call.send())? {
        Ok(reply) if reply.status == StatusCode::OK => reply,
        // Whoever has the port now is not the supervisor, or it is just ending.
        Ok(reply) if reply.status != StatusCode::BAD_REQUEST => return Err(not_running()),
        Ok(_) => return Err(DeployError::State("the supervisor is of another version of Kidu; start it anew".into())),
        Err(error @ DeployError::TimedOut { .. }) => return Err(error),
        Err(_) => return Err(not_running()),
    };
    match serde_json::from_slice(&reply.body) {
        Ok(Answer::Done(status)) => Ok(*status),
        Ok(Answer::Refused(why)) => Err(DeployError::Refused(why)),
        Ok(Answer::Failed(why)) => Err(DeployError::State(why)),
        Err(error) => Err(DeployError::State(format!("the supervisor's answer is not understood ({error})"))),
    }
}

/// Runs a future on a runtime of its own.
pub(crate) fn block_on<T>(future: impl Future<Output = T>) -> Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    Ok(runtime.map_err(|source| DeployError::System { what: "runtime", source })?.block_on(future))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_compared_whole() {
        assert!(same("abc", "abc") && same("", ""));
        assert!(!same("abc", "abd") && !same("abc", "ab") && !same("", "a"));
    }

    #[test]
    fn without_a_supervisor_it_is_said() {
        let dir = tempfile::tempdir().unwrap();
        let error = call(dir.path(), &Command::Status).unwrap_err().to_string();
        assert!(error.contains("start it with `kidu deploy up`"), "{error}");
        write_private(&access_path(dir.path()), br#"{"port": 1, "token": "t", "pid": 1}"#).unwrap();
        assert!(matches!(call(dir.path(), &Command::Status), Err(DeployError::NotRunning { .. })));
        use std::os::unix::fs::PermissionsExt;
        let mode = fs::metadata(access_path(dir.path())).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
}
