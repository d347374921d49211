//! What a server of a mobile network needs while it works.

use kidu_testing::memory_of;

use crate::support::{self, Process};

/// What the documentation promises.
const AT_MOST: usize = 80_000_000;

#[test]
fn eight_clients_of_a_mobile_network_fit_into_eighty_megabytes() {
    let dir = tempfile::tempdir().unwrap();
    kidu_testing::bundle(&dir.path().join("bundle"), "tf_efficientnet_lite0", 224, &support::CLASSES);
    let process = Process::start(&dir.path().join("bundle"), dir.path(), &["--threads", "2"]);
    let image = support::encode(&support::picture(640, 480, 1), image::ImageFormat::Jpeg);
    let storm = |each: usize| {
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    let mut client = process.client();
                    for _ in 0..each {
                        assert_eq!(client.post("/v1/predict", "image/jpeg", &image).unwrap().status, 200);
                    }
                });
            }
        });
    };
    storm(40);
    let (before, _) = memory_of(process.child.id());
    storm(60);
    let (after, peak) = memory_of(process.child.id());
    println!("{before} bytes, then {after}, {peak} at most");
    // A busy machine holds more requests half decoded: the peak may be a little higher than what stays.
    assert!(after <= AT_MOST && peak <= AT_MOST + AT_MOST / 8, "{after} bytes, {peak} at most");
    assert!(after < before + 8_000_000, "{before} bytes grew to {after}");
}
