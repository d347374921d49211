//! An endpoint with the contract of `kidu serve`.

use std::{thread, time::Duration};

use image::{ExtendedColorType, ImageEncoder, codecs::png::PngEncoder};
use kidu_core::{ClassNames, Prediction};
use kidu_eval::robustness::Answer;
use kidu_fetch::Retry;
use kidu_image::{RgbImage, corrupt};
use rayon::prelude::*;
use serde::{Deserialize, de::DeserializeOwned};
use url::Url;

use super::model::{Model, answer_of};
use crate::{Outcome, cli::EndpointArgs, failure::Failure};

/// The longest answer that is read, in bytes.
const MAX_ANSWER: u64 = 8 << 20;

/// A model behind a URL.
pub(super) struct Endpoint {
    agent: ureq::Agent,
    base: String,
    token: Option<String>,
    /// As many threads as there may be requests at once.
    pool: rayon::ThreadPool,
    retry: Retry,
    info: Info,
}

/// What `/v1/model` tells.
#[derive(Deserialize)]
struct Info {
    name: String,
    version: String,
    classes: ClassNames,
    #[serde(default)]
    image: Option<InputSize>,
}

#[derive(Deserialize)]
struct InputSize {
    width: u32,
    height: u32,
}

#[derive(Deserialize)]
struct Predictions {
    predictions: Vec<Prediction>,
    model: ModelName,
}

#[derive(Deserialize)]
struct ModelName {
    name: String,
    version: String,
}

/// Why a request did not do.
struct Refusal {
    reason: String,
    /// Whether the same may do later, and when the server says so.
    later: Option<Option<Duration>>,
}

impl Endpoint {
    /// Asks the endpoint for its model.
    pub(super) fn connect(url: &str, arguments: &EndpointArgs) -> Outcome<Self> {
        let parsed = Url::parse(url).ok().filter(|u| matches!(u.scheme(), "http" | "https") && u.has_host());
        let parsed = parsed.ok_or_else(|| {
            Failure::usage(format!(
                "--url {url}: not the address of an endpoint; write http://HOST:PORT or https://HOST"
            ))
        })?;
        if !parsed.username().is_empty() || parsed.password().is_some() {
            return Err(Failure::usage("--url carries a name or password; give --token instead"));
        }
        if !(arguments.timeout > 0.0 && arguments.timeout <= 3600.0) {
            return Err(Failure::usage(format!("--timeout {}: between 0 and 3600 seconds", arguments.timeout)));
        }
        let config = ureq::Agent::config_builder()
            .timeout_connect(Some(Duration::from_secs(10)))
            .timeout_global(Some(Duration::from_secs_f64(arguments.timeout)))
            .http_status_as_error(false)
            .user_agent(concat!("kidu/", env!("CARGO_PKG_VERSION")));
        let pool = rayon::ThreadPoolBuilder::new().num_threads(usize::from(arguments.concurrency)).build();
        let mut endpoint = Self {
            agent: config.build().into(),
            base: base_of(&parsed),
            token: arguments.token.clone(),
            pool: pool.map_err(anyhow::Error::from)?,
            retry: Retry::default(),
            info: Info {
                name: String::new(),
                version: String::new(),
                classes: ClassNames::new(["a", "b"])?,
                image: None,
            },
        };
        endpoint.info = endpoint.patiently("/v1/model", || endpoint.get("/v1/model"))?;
        Ok(endpoint)
    }

    /// Tries again what may do later.
    fn patiently<T>(&self, path: &str, ask: impl Fn() -> Result<T, Refusal>) -> Outcome<T> {
        let mut tried = 0;
        loop {
            let refusal = match ask() {
                Ok(answer) => return Ok(answer),
                Err(refusal) => refusal,
            };
            let wait = refusal.later.and_then(|asked| self.retry.wait(tried, asked, rand::random::<f64>()));
            match wait {
                Some(wait) => thread::sleep(wait),
                None => return Err(anyhow::anyhow!("{}{path} {}", self.base, refusal.reason).into()),
            }
            tried += 1;
        }
    }

    fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, Refusal> {
        let request = self.agent.get(format!("{}{path}", self.base));
        read(self.authorised(request).call())
    }

    fn predict(&self, png: &[u8]) -> Result<Prediction, Refusal> {
        let request = self.agent.post(format!("{}/v1/predict", self.base)).content_type("image/png");
        let answer: Predictions = read(self.authorised(request).send(png))?;
        let lasting = |reason: String| Refusal { reason, later: None };
        if (&answer.model.name, &answer.model.version) != (&self.info.name, &self.info.version) {
            return Err(lasting(format!(
                "answers as {}@{} now, and as {}@{} before: test while no version is being deployed",
                answer.model.name, answer.model.version, self.info.name, self.info.version
            )));
        }
        let [prediction] = <[Prediction; 1]>::try_from(answer.predictions)
            .map_err(|p| lasting(format!("answers {} predictions to one image", p.len())))?;
        Ok(prediction)
    }

    fn authorised<B>(&self, request: ureq::RequestBuilder<B>) -> ureq::RequestBuilder<B> {
        match &self.token {
            Some(token) => request.header("authorization", format!("Bearer {}", token.trim())),
            None => request,
        }
    }

    fn ask(&self, image: &RgbImage) -> Outcome<Answer> {
        let mut png = Vec::new();
        PngEncoder::new(&mut png)
            .write_image(image.as_raw(), image.width(), image.height(), ExtendedColorType::Rgb8)
            .map_err(anyhow::Error::from)?;
        let prediction = self.patiently("/v1/predict", || self.predict(&png))?;
        answer_of(&prediction, &self.info.classes)
    }
}

impl Model for Endpoint {
    fn classes(&self) -> &ClassNames {
        &self.info.classes
    }

    fn name(&self) -> (String, String) {
        (self.info.name.clone(), self.info.version.clone())
    }

    fn endpoint(&self) -> Option<String> {
        Some(self.base.clone())
    }

    fn side(&self) -> u32 {
        self.info.image.as_ref().map_or(corrupt::REFERENCE_SIDE, |image| image.width.min(image.height).max(8))
    }

    fn answer(&self, images: &[RgbImage]) -> Outcome<Vec<Answer>> {
        self.pool.install(|| images.par_iter().map(|image| self.ask(image)).collect())
    }
}

/// Where the contract's paths begin, also when the address is that of predictions.
fn base_of(url: &Url) -> String {
    let whole = url.as_str().trim_end_matches('/');
    let ends = ["/v1/predict", "/predict", "/invocations"];
    ends.iter().find_map(|end| whole.strip_suffix(end)).unwrap_or(whole).to_string()
}

/// The answer's JSON, or why there is none.
fn read<T: DeserializeOwned>(answer: Result<ureq::http::Response<ureq::Body>, ureq::Error>) -> Result<T, Refusal> {
    let lost = |e: ureq::Error| Refusal { reason: format!("does not answer: {e}"), later: Some(None) };
    let mut answer = answer.map_err(lost)?;
    let status = answer.status().as_u16();
    let retry_after = answer.headers().get("retry-after").and_then(|v| v.to_str().ok()?.trim().parse().ok());
    let body = answer.body_mut().with_config().limit(MAX_ANSWER).read_to_vec().map_err(lost)?;
    if !answer.status().is_success() {
        let told: serde_json::Value = serde_json::from_slice(&body).unwrap_or_default();
        let message = told.pointer("/error/message").or_else(|| told.get("message")).and_then(|m| m.as_str());
        let message: String = message.unwrap_or("no reason given").chars().take(300).collect();
        let busy = matches!(status, 408 | 425 | 429 | 500 | 502..=504);
        let later = busy.then(|| retry_after.map(Duration::from_secs));
        return Err(Refusal { reason: format!("answers {status}: {message}"), later });
    }
    let strange = |e: serde_json::Error| Refusal {
        reason: format!("answers what `kidu serve` would not ({e}); the contract is in docs/serving.md"),
        later: None,
    };
    serde_json::from_slice(&body).map_err(strange)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_of_predictions_is_as_good_as_that_of_the_server() {
        for (given, base) in [
            ("http://h:8080", "http://h:8080"),
            ("http://h:8080/", "http://h:8080"),
            ("https://h/stage/v1/predict", "https://h/stage"),
            ("http://h/predict/", "http://h"),
            ("http://h/invocations", "http://h"),
        ] {
            assert_eq!(base_of(&Url::parse(given).unwrap()), base, "{given}");
        }
    }
}
