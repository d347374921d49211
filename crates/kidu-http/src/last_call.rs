//! The end of a listener.

use std::net::SocketAddr;

use tokio::net::{TcpListener, TcpStream};

/// Hands on the connections that the system has taken already, then stops listening.
///
/// Closing a listener resets what waits in its queue. Between the last look and the close nothing is waited for, so that
/// hardly anything comes in between.
pub fn last_call(listener: TcpListener, mut take: impl FnMut(TcpStream, SocketAddr)) {
    // Without an event loop there is nothing to lose: both fail only where the runtime is gone.
    let Ok(listener) = listener.into_std() else { return };
    let mut waiting = Vec::new();
    while let Ok(accepted) = listener.accept() {
        waiting.push(accepted);
    }
    drop(listener);
    for (stream, peer) in waiting {
        if let Ok(stream) = stream.set_nonblocking(true).and_then(|()| TcpStream::from_std(stream)) {
            take(stream, peer);
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    #[tokio::test]
    async fn who_has_connected_is_answered_and_who_comes_later_refused() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut clients = Vec::new();
        for _ in 0..5 {
            clients.push(TcpStream::connect(address).await.unwrap());
        }
        let mut taken = Vec::new();
        last_call(listener, |stream, _| taken.push(stream));
        assert_eq!(TcpStream::connect(address).await.unwrap_err().kind(), std::io::ErrorKind::ConnectionRefused);
        for mut stream in taken {
            stream.write_all(b"hello").await.unwrap();
        }
        for client in &mut clients {
            let mut text = String::new();
            client.read_to_string(&mut text).await.unwrap();
            assert_eq!(text, "hello");
        }
    }
}
