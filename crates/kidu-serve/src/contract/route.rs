//! The paths.

use http::Method;

use super::problem::{Code, Problem};

/// What a path and a method stand for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Route {
    /// `GET /`.
    Page,
    /// `POST /`: predictions in the original's form.
    Legacy,
    /// `POST /v1/predict`.
    Predict,
    /// `POST /v1/explain`.
    Explain,
    /// `GET /v1/model`.
    Model,
    /// `GET /health`.
    Health,
    /// `GET /ready`.
    Ready,
    /// `GET /metrics`.
    Metrics,
    /// `GET /openapi.json`.
    OpenApi,
    /// `GET /ping` of SageMaker.
    Ping,
    /// `POST /invocations` of SageMaker.
    Invocations,
    /// `POST /admin/reload`.
    Reload,
    /// `OPTIONS` of any of them.
    Preflight,
}

/// Every route with its method (`GET` or `POST`) and path, but for [`Route::Preflight`], which has all.
pub const ROUTES: [(Route, &str, &str); 12] = [
    (Route::Page, "GET", "/"),
    (Route::Legacy, "POST", "/"),
    (Route::Predict, "POST", "/v1/predict"),
    (Route::Explain, "POST", "/v1/explain"),
    (Route::Model, "GET", "/v1/model"),
    (Route::Health, "GET", "/health"),
    (Route::Ready, "GET", "/ready"),
    (Route::Metrics, "GET", "/metrics"),
    (Route::OpenApi, "GET", "/openapi.json"),
    (Route::Ping, "GET", "/ping"),
    (Route::Invocations, "POST", "/invocations"),
    (Route::Reload, "POST", "/admin/reload"),
];

impl Route {
    /// The route of a method and a path. `HEAD` is `GET` without a body.
    ///
    /// # Errors
    /// [`Code::NotFound`] or [`Code::MethodNotAllowed`], which lists the methods that the path knows.
    pub fn find(method: &Method, path: &str) -> Result<Self, Problem> {
        let path = if path.is_empty() { "/" } else { path };
        let mut known = ROUTES.iter().filter(|(_, _, p)| *p == path).peekable();
        if known.peek().is_none() {
            let paths: Vec<_> = ROUTES.iter().map(|(_, _, p)| *p).collect();
            let near = kidu_core::suggest::did_you_mean(kidu_core::suggest::nearest(path, paths));
            return Err(Problem::new(
                Code::NotFound,
                format!("there is nothing at this path{near}; see /openapi.json"),
            ));
        }
        if method == Method::OPTIONS {
            return Ok(Self::Preflight);
        }
        let wanted = if method == Method::HEAD { "GET" } else { method.as_str() };
        let mut allow = Vec::new();
        for (route, method, _) in known {
            if *method == wanted {
                return Ok(*route);
            }
            allow.push(*method);
            if *method == "GET" {
                allow.push("HEAD");
            }
        }
        let allow = allow.join(", ");
        let problem = Problem::new(Code::MethodNotAllowed, format!("this path answers {allow} only"));
        Err(Problem { allow: Some(allow), ..problem })
    }

    /// Its path, for logs and metrics; never what a client wrote.
    pub fn path(self) -> &'static str {
        ROUTES.iter().find(|(route, _, _)| *route == self).map_or("*", |(_, _, path)| path)
    }

    /// Whether its body is read.
    pub fn has_body(self) -> bool {
        matches!(self, Self::Legacy | Self::Predict | Self::Explain | Self::Invocations)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_route_is_found_and_others_say_what_there_is() {
        for (route, method, path) in ROUTES {
            assert_eq!(Route::find(&method.parse().unwrap(), path), Ok(route));
        }
        assert_eq!(Route::find(&Method::HEAD, ""), Ok(Route::Page));
        assert_eq!(Route::find(&Method::GET, "/helth").unwrap_err().code, Code::NotFound);
        assert!(Route::find(&Method::GET, "/helth").unwrap_err().message.contains("/health"));
        let other = Route::find(&Method::PUT, "/").unwrap_err();
        assert_eq!((other.code, other.allow.as_deref()), (Code::MethodNotAllowed, Some("GET, HEAD, POST")));
    }
}
