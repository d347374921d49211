//! Size, time, redirects, retries, order of arrival.

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    sync::{Arc, Mutex},
    thread,
    time::{Duration, Instant},
};

use kidu_fetch::{Address, BlockingFetcher, Buckets, FetchError, FetchOptions, ObjectName, Result};

use crate::server::{Server, fetch, ok, options, redirect, whole};

#[test]
fn an_image_is_fetched_and_the_request_is_plain() {
    let server = Server::start(|_, _| ok(b"image"));
    assert_eq!(fetch(options(&[&server]), &server.address("/a.jpg?v=1#top")).unwrap(), b"image");
    let asked = &server.asked()[0];
    assert_eq!((asked.method.as_str(), asked.path.as_str()), ("GET", "/a.jpg?v=1"));
    assert!(asked.headers["user-agent"].starts_with("kidu/") && asked.authorization().is_none(), "{asked:?}");
}

#[test]
fn too_many_bytes_are_refused_whether_announced_or_not() {
    let announced = Server::start(|_, _| ok(&[7; 1001]));
    let limited = |server: &Server| FetchOptions { max_bytes: 1000, ..options(&[server]) };
    let error = fetch(limited(&announced), &announced.address("/a")).unwrap_err();
    assert!(matches!(error, FetchError::TooLarge { limit: 1000, .. }), "{error}");
    assert_eq!(announced.asked().len(), 1, "no second try");
    let endless = Server::start(|_, _| {
        Box::new(|stream| {
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n");
            while stream.write_all(&[7; 4096]).is_ok() {}
        })
    });
    let error = fetch(limited(&endless), &endless.address("/a")).unwrap_err();
    assert!(matches!(error, FetchError::TooLarge { limit: 1000, .. }), "{error}");
    let exact = Server::start(|_, _| ok(&[7; 1000]));
    assert_eq!(fetch(limited(&exact), &exact.address("/a")).unwrap().len(), 1000);
}

#[test]
fn a_body_shorter_than_announced_is_cut_short_and_tried_again() {
    let server = Server::start(|_, number| {
        if number < 2 {
            return Box::new(|s| drop(s.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf")));
        }
        ok(b"the whole")
    });
    assert_eq!(fetch(options(&[&server]), &server.address("/a")).unwrap(), b"the whole");
    let server =
        Server::start(|_, _| Box::new(|s| drop(s.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf"))));
    let error = fetch(options(&[&server]), &server.address("/a")).unwrap_err();
    assert!(matches!(error, FetchError::Truncated { .. }), "{error}");
    assert_eq!(server.asked().len(), 3);
}

#[test]
fn a_slow_body_ends_with_the_time() {
    let server = Server::start(|_, _| {
        Box::new(|stream| {
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n");
            while stream.write_all(b"x").is_ok() {
                thread::sleep(Duration::from_millis(20));
            }
        })
    });
    let timed_out = |try_timeout: Duration, timeout: Duration| {
        let begin = Instant::now();
        let error =
            fetch(FetchOptions { try_timeout, timeout, ..options(&[&server]) }, &server.address("/a")).unwrap_err();
        assert!(matches!(error, FetchError::Timeout { .. }), "{error}");
        assert!(begin.elapsed() < Duration::from_secs(30), "{:?}", begin.elapsed());
    };
    let (short, long) = (Duration::from_millis(300), Duration::from_secs(60));
    timed_out(long, short);
    let asked = server.asked().len();
    timed_out(short, long);
    assert!(server.asked().len() >= asked + 2, "a try that ran out of time is made again while there is time");
}

#[test]
fn redirects_are_followed_and_bounded() {
    let server = Server::start(|asked, _| match asked.path.as_str() {
        "/end" => ok(b"image"),
        "/3" => redirect("/end"),
        "/2" => redirect("3"),
        "/1" => redirect("2"),
        "/nowhere" => whole(302, &[], b""),
        "/file" => redirect("file:///etc/passwd"),
        _ => redirect("/loop"),
    });
    let get =
        |path: &str, max_redirects| fetch(FetchOptions { max_redirects, ..options(&[&server]) }, &server.address(path));
    assert_eq!(get("/1", 3).unwrap(), b"image");
    for (path, most, words) in [
        ("/1", 2, "more than 2 redirects"),
        ("/loop", 5, "more than 5 redirects"),
        ("/nowhere", 5, "without saying where to"),
        ("/file", 5, "'file' address"),
    ] {
        let error = get(path, most).unwrap_err();
        assert!(matches!(&error, FetchError::Redirect { .. }) && error.to_string().contains(words), "{error}");
    }
}

#[test]
fn failures_that_may_pass_are_tried_again_and_others_are_not() {
    for status in [429, 500, 503] {
        let server =
            Server::start(move |_, n| if n == 0 { whole(status, &[("Retry-After", "0")], b"") } else { ok(b"x") });
        assert_eq!(fetch(options(&[&server]), &server.address("/a")).unwrap(), b"x", "{status}");
    }
    for status in [400, 403, 404, 501] {
        let server = Server::start(move |_, _| whole(status, &[], b""));
        let error = fetch(options(&[&server]), &server.address("/a?secret=1")).unwrap_err();
        let code = if status == 404 { "not_found" } else { "http_status" };
        assert_eq!((error.code(), server.asked().len()), (code, 1), "{error}");
        assert!(!error.to_string().contains("secret"), "{error}");
    }
    let server = Server::start(|_, _| whole(503, &[], b""));
    let error = fetch(options(&[&server]), &server.address("/a")).unwrap_err();
    assert!(matches!(error, FetchError::Status { status: 503, .. }), "{error}");
    assert_eq!(server.asked().len(), 3);
}

#[test]
fn a_closed_port_is_no_answer() {
    let mut options = options(&[]);
    options.policy.private = vec!["127.0.0.0/8".parse().unwrap()];
    let error = fetch(options, &Address::parse("http://127.0.0.1:1/a").unwrap()).unwrap_err();
    assert!(matches!(&error, FetchError::Connection { reason, .. } if reason.contains("cannot connect")), "{error}");
}

#[test]
fn many_are_fetched_no_more_than_allowed_at_a_time() {
    let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (n, m) = (now.clone(), most.clone());
    let server = Server::start(move |asked, _| {
        let (n, m, body) = (n.clone(), m.clone(), asked.path.clone());
        Box::new(move |stream| {
            m.fetch_max(n.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            thread::sleep(Duration::from_millis(100));
            n.fetch_sub(1, Ordering::SeqCst);
            whole(200, &[], body.as_bytes())(stream);
        })
    });
    let fetcher = BlockingFetcher::new(FetchOptions { concurrency: 3, ..options(&[&server]) }).unwrap();
    let mut got = Vec::new();
    let wanted = (0..12).map(|i| (i, server.address(&format!("/{i}")), None));
    fetcher.fetch_each(wanted, |i, result| {
        assert_eq!(result.unwrap(), format!("/{i}").into_bytes());
        got.push(i);
    });
    got.sort_unstable();
    assert_eq!(got, (0..12).collect::<Vec<_>>());
    let most = most.load(Ordering::SeqCst);
    assert!((2..=3).contains(&most), "{most} at a time");
}

struct OneBucket(Mutex<Vec<String>>);

impl Buckets for OneBucket {
    fn get(&self, bucket: &str, key: &str, _: u64) -> Result<Vec<u8>> {
        self.0.lock().unwrap().push(format!("{bucket}/{key}"));
        match self.0.lock().unwrap().len() {
            1 => Err(FetchError::Store { address: key.into(), reason: "slow down".into(), transient: true }),
            _ => Ok(key.into()),
        }
    }

    fn list(&self, _: &str, _: &str) -> Result<Vec<ObjectName>> {
        Ok(Vec::new())
    }
}

#[test]
fn objects_come_from_the_store_if_their_bucket_is_allowed() {
    let store = Arc::new(OneBucket(Mutex::default()));
    let mut options = options(&[]);
    options.buckets = Some(store.clone());
    options.policy.buckets = vec!["src".into()];
    let get = |text: &str| fetch(options.clone(), &Address::parse(text).unwrap());
    assert_eq!(get("s3://src/a/b.jpg").unwrap(), b"a/b.jpg");
    assert_eq!(*store.0.lock().unwrap(), ["src/a/b.jpg", "src/a/b.jpg"], "tried again");
    assert!(matches!(get("s3://other/a.jpg"), Err(FetchError::BucketNotAllowed { .. })));
    assert!(matches!(
        fetch(FetchOptions::default(), &Address::parse("s3://src/a").unwrap()),
        Err(FetchError::NoStore { .. })
    ));
}
