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
    let storm = |_| {
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    let mut client = process.client();
                    for _ in 0..20 {
                        assert_eq!(client.post("/v1/predict", "image/jpeg", &image).unwrap().status, 200);
                    }
                });
            }
        });
        memory_of(process.child.id())
    };
    // What stays after a storm depends on how many requests met in it, by up to a quarter, and the first ones are not over
    // all that a server needs: the least of some storms against the least of those after them tells growth.
    let storms: Vec<(usize, usize)> = (0..10).map(storm).collect();
    let peak = storms.last().map_or(0, |(_, peak)| *peak);
    let after: Vec<usize> = storms.into_iter().map(|(now, _)| now).collect();
    println!("{after:?} bytes, {peak} at most");
    // A busy machine holds more requests half decoded: the peak may be a little higher than what stays.
    assert!(
        after.iter().all(|now| *now <= AT_MOST) && peak <= AT_MOST + AT_MOST / 8,
        "{after:?} bytes, {peak} at most"
    );
    let least = |storms: &[usize]| storms.iter().min().copied().unwrap_or_default();
    assert!(least(&after[6..]) < least(&after[2..6]) + 6_000_000, "{after:?} bytes: it grows");
}
