//! The function: a service that answers events.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant, SystemTime},
};

use http::HeaderValue;
use kidu_serve::{
    Service, ServiceSettings,
    contract::{REQUEST_ID, Request, Response},
    emf,
    queue::QueueSettings,
};
use lambda_runtime::LambdaEvent;
use serde_json::{Value, value::RawValue};

use crate::{
    error::Result,
    event,
    source::{Evaluated, Source},
};

/// Answers events. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Function {
    service: Arc<Service>,
    /// From the start of the function until it was ready.
    started: Duration,
    warm: Arc<AtomicBool>,
}

impl Function {
    /// Finds the bundle and takes it into service, if it is the one that was evaluated.
    ///
    /// # Errors
    /// [`crate::LambdaError`]: the process ends and Lambda starts another one.
    pub fn start(source: &Source, evaluated: &Evaluated) -> Result<Self> {
        let start = Instant::now();
        let bundle = source.bundle()?;
        evaluated.check(&bundle)?;
        // Lambda gives a share of a core for each 1769 MB, and part of a second one beyond that.
        let settings = ServiceSettings {
            queue: QueueSettings { capacity: 4, ..QueueSettings::default() },
            deadline: Duration::from_secs(900),
            ..ServiceSettings::default()
        };
        let service = Service::of_bundle(settings, &bundle)?;
        service.reload()?;
        Ok(Self { service, started: start.elapsed(), warm: Arc::default() })
    }

    /// Answers an event of any kind.
    pub async fn answer(&self, event: LambdaEvent<Box<RawValue>>) -> Value {
        let id = event.context.request_id;
        let (sender, request) = event::request(&event.payload);
        let response = match request {
            Ok(request) => self.service.handle(named(request, &id)).await,
            Err(problem) => {
                let mut response = problem.response();
                response.report.code = Some(problem.code);
                let unknown = Request {
                    method: http::Method::POST,
                    path: String::new(),
                    headers: http::HeaderMap::new(),
                    body: Vec::new().into(),
                    local: false,
                };
                self.service.finish(&unknown, &id, Instant::now(), response)
            }
        };
        self.measure(&response, &id);
        event::reply(sender, &response)
    }

    fn measure(&self, response: &Response, id: &str) {
        let cold = (!self.warm.swap(true, Ordering::AcqRel)).then_some(self.started);
        let model = self.service.model();
        let model = model.as_ref().map_or("none", |m| m.tag());
        emf::write(&emf::line(response, model, id, cold, SystemTime::now()));
    }
}

/// A request without a name of its own has that of the invocation.
fn named(mut request: Request, id: &str) -> Request {
    if let (false, Ok(id)) = (request.headers.contains_key(REQUEST_ID), HeaderValue::from_str(id)) {
        request.headers.insert(REQUEST_ID, id);
    }
    request
}
