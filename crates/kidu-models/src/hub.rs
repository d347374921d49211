//! timm's weights on the Hugging Face hub.

use std::{
    env, fs,
    io::{Read, Write},
    path::{Path, PathBuf},
    time::Duration,
};

use kidu_core::{ModelRecord, files};

use crate::error::{ModelError, Result};

/// No weights file of the known models is larger (bytes).
const LARGEST: u64 = 512 << 20;

/// Where downloaded weights are kept: `KIDU_CACHE`, or `kidu` in the user's cache folder.
pub fn cache_dir() -> PathBuf {
    let set = |name: &str| env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from);
    set("KIDU_CACHE")
        .or_else(|| set("XDG_CACHE_HOME").map(|p| p.join("kidu")))
        .or_else(|| set("HOME").map(|p| p.join(".cache/kidu")))
        .unwrap_or_else(|| PathBuf::from(".kidu-cache"))
}

/// The cached file of a tag, downloaded on first use. `HF_ENDPOINT` names another hub, `HF_TOKEN` a token.
///
/// # Errors
/// [`ModelError::Setting`] for an unknown tag; [`ModelError::Hub`] when the download fails, with what to fetch and
/// where to put it.
pub fn fetch(record: &ModelRecord, tag: Option<&str>, cache: &Path) -> Result<PathBuf> {
    let source = record.weights(tag).ok_or_else(|| {
        let tags: Vec<_> = record.weights.iter().map(|w| w.tag).collect();
        let tag = tag.unwrap_or_default();
        let nearest = kidu_core::suggest::nearest(tag, tags.iter().copied());
        ModelError::Setting(format!(
            "model.weights: {} has no weights tagged '{tag}'{}; known tags: {}",
            record.name,
            kidu_core::suggest::did_you_mean(nearest),
            tags.join(", ")
        ))
    })?;
    let place = cache.join("hub").join(format!("{}.safetensors", source.hub.replace('/', "--")));
    if place.is_file() {
        return Ok(place);
    }
    let endpoint = env::var("HF_ENDPOINT").unwrap_or_else(|_| "https://huggingface.co".into());
    let url = format!("{}/{}/resolve/main/model.safetensors", endpoint.trim_end_matches('/'), source.hub);
    download(&url, &place).map_err(|reason| ModelError::Hub { url, reason, place: place.clone() })?;
    Ok(place)
}

/// Downloads to a temporary file beside `place`, then renames it.
fn download(url: &str, place: &Path) -> Result<(), String> {
    let config = ureq::Agent::config_builder().timeout_connect(Some(Duration::from_secs(10)));
    let agent: ureq::Agent = config.timeout_global(Some(Duration::from_secs(900))).build().into();
    let mut request = agent.get(url);
    if let Ok(token) = env::var("HF_TOKEN") {
        request = request.header("Authorization", format!("Bearer {token}"));
    }
    let response = request.call().map_err(|e| e.to_string())?;
    let mut body = response.into_body().into_with_config().limit(LARGEST).reader();
    let mut bytes = Vec::new();
    body.read_to_end(&mut bytes).map_err(|e| e.to_string())?;
    safetensors::SafeTensors::deserialize(&bytes).map_err(|e| format!("the answer is not a safetensors file ({e})"))?;
    fs::create_dir_all(files::parent_of(place)).map_err(|e| e.to_string())?;
    files::write_atomic_with(place, |file| file.write_all(&bytes)).map_err(|e| e.to_string())
}

#[cfg(test)]
mod tests {
    use std::{io::BufRead, net::TcpListener};

    use super::*;

    #[test]
    fn an_unknown_tag_names_the_known_ones() {
        let record = kidu_core::model::find("resnet18").unwrap();
        let message = fetch(record, Some("a1_in1"), Path::new("nowhere")).unwrap_err().to_string();
        assert!(message.contains("did you mean 'a1_in1k'"), "{message}");
    }

    #[test]
    fn an_answer_that_is_no_safetensors_file_is_not_kept() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/x", listener.local_addr().unwrap());
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut reader = std::io::BufReader::new(stream.try_clone().unwrap());
            let mut line = String::new();
            while reader.read_line(&mut line).unwrap() > 2 {
                line.clear();
            }
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello").unwrap();
        });
        let dir = tempfile::tempdir().unwrap();
        let place = dir.path().join("w.safetensors");
        let reason = download(&url, &place).unwrap_err();
        assert!(reason.contains("not a safetensors file"), "{reason}");
        assert!(!place.exists());
        server.join().unwrap();
    }

    #[test]
    fn a_cached_file_needs_no_network() {
        let dir = tempfile::tempdir().unwrap();
        let record = kidu_core::model::find("spnasnet_100").unwrap();
        let place = dir.path().join("hub/timm--spnasnet_100.rmsp_in1k.safetensors");
        files::write_atomic(&place, b"cached").unwrap();
        assert_eq!(fetch(record, None, dir.path()).unwrap(), place);
    }
}
