//! The end of a listener: who comes now is not let in, who has come is still taken.
//!
//! Closing a listener resets the connections in its queue, and one can come between the last look into the queue and the
//! close. So the system is told first to take no new ones.

use std::io;

use tokio::net::TcpListener;

/// The listener's socket drops what asks for a connection (SYN). Who asks tries again a second later, and then finds
/// another server at the address, or none. Handshakes that have begun go on.
///
/// # Errors
/// Where the system has no socket filters.
#[cfg(target_os = "linux")]
pub(crate) fn refuse_new(listener: &TcpListener) -> io::Result<()> {
    use socket2::{SockFilter, SockRef};

    // Classic BPF (Linux, networking/filter.rst) on the TCP header, whose byte 13 holds the flags.
    const LOAD_BYTE: u16 = 0x30;
    const JUMP_IF_SET: u16 = 0x45;
    const RETURN: u16 = 0x06;
    const FLAGS: u32 = 13;
    const SYN: u32 = 0x02;
    SockRef::from(listener).attach_filter(&[
        SockFilter::new(LOAD_BYTE, 0, 0, FLAGS),
        SockFilter::new(JUMP_IF_SET, 0, 1, SYN),
        SockFilter::new(RETURN, 0, 0, 0),
        SockFilter::new(RETURN, 0, 0, u32::MAX),
    ])
}

/// Only Linux has socket filters.
#[cfg(not(target_os = "linux"))]
pub(crate) fn refuse_new(_: &TcpListener) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::time::Duration;

    use tokio::{net::TcpStream, time::timeout};

    use super::*;

    #[tokio::test]
    async fn who_comes_later_waits_and_who_has_come_is_taken() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let early = TcpStream::connect(address).await.unwrap();
        refuse_new(&listener).unwrap();
        let mut late = std::pin::pin!(TcpStream::connect(address));
        assert!(timeout(Duration::from_millis(200), &mut late).await.is_err(), "nobody answers");
        let (stream, peer) = listener.accept().await.unwrap();
        assert_eq!(peer, early.local_addr().unwrap());
        stream.writable().await.unwrap();
        assert_eq!(stream.try_write(b"hello").unwrap(), 5, "the connection itself is not filtered");
        let mut text = [0; 5];
        early.readable().await.unwrap();
        assert_eq!(early.try_read(&mut text).unwrap(), 5);
        drop(listener);
        let refused = timeout(Duration::from_secs(10), late).await.unwrap().unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
    }
}
