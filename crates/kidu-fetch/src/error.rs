//! The error type of this crate.

use std::{net::IpAddr, time::Duration};

/// A result whose error is [`FetchError`].
pub type Result<T, E = FetchError> = std::result::Result<T, E>;

/// Why the bytes of an address are not to be had. Messages name the address without what may be secret in it: the query
/// and user name of a URL, the content of a data URI.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum FetchError {
    /// The text is no address.
    #[error("'{address}' {reason}")]
    Address {
        /// The text, cut short.
        address: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A scheme that is not read.
    #[error("{address}: '{scheme}' addresses are not read; use http, https, s3, data or file")]
    Scheme {
        /// The address.
        address: String,
        /// Its scheme.
        scheme: String,
    },
    /// The host is not on the list of allowed hosts.
    #[error("{address}: the host {host} is not allowed; allow it with --allow-host {host}")]
    HostNotAllowed {
        /// The address.
        address: String,
        /// Its host.
        host: String,
    },
    /// The bucket is not on the list of allowed buckets.
    #[error("{address}: the bucket {bucket} is not allowed; allow it with --allow-bucket {bucket}")]
    BucketNotAllowed {
        /// The address.
        address: String,
        /// Its bucket.
        bucket: String,
    },
    /// A path on a Label Studio that hands out an object, and names none of a bucket on the list.
    #[error("{address}: names no object of a bucket that may be read; allow buckets with --allow-bucket")]
    NoAllowedObject {
        /// The address.
        address: String,
    },
    /// A path on a Label Studio that is not one of an image.
    #[error("{address}: may lead to the Label Studio's API, which holds no images")]
    ApiPath {
        /// The address.
        address: String,
    },
    /// The host is in a private, local or reserved network.
    #[error(
        "{address}: {host} is {ip}, an address of a private or reserved network; if that is intended, allow it with \
         --allow-private {host}"
    )]
    PrivateAddress {
        /// The address.
        address: String,
        /// Its host, with the port.
        host: String,
        /// What the host resolved to.
        ip: IpAddr,
    },
    /// The host's name is not known.
    #[error("{address}: the host {host} cannot be resolved: {reason}")]
    Resolve {
        /// The address.
        address: String,
        /// Its host.
        host: String,
        /// The resolver's reason.
        reason: String,
    },
    /// No connection, or one that broke.
    #[error("{address}: no answer: {reason}")]
    Connection {
        /// The address.
        address: String,
        /// The reason.
        reason: String,
    },
    /// It took too long.
    #[error("{address}: no whole answer within {:.1} s", after.as_secs_f64())]
    Timeout {
        /// The address.
        address: String,
        /// The time that it was given.
        after: Duration,
    },
    /// The server said no.
    #[error("{address}: the server answered {status}{}", hint(*status))]
    Status {
        /// The address.
        address: String,
        /// The HTTP status.
        status: u16,
        /// How long the server asked to wait.
        retry_after: Option<Duration>,
    },
    /// Label Studio refused the token, or there is none.
    #[error("{address}: Label Studio answered {status}: {reason}")]
    Unauthorized {
        /// The address.
        address: String,
        /// 401 or 403.
        status: u16,
        /// What to do.
        reason: &'static str,
    },
    /// A personal access token could not be exchanged.
    #[error(
        "{server}: the access token could not be renewed: {reason}; make a new personal access token in Label Studio"
    )]
    Token {
        /// The Label Studio.
        server: String,
        /// The reason.
        reason: String,
    },
    /// There is nothing of that name.
    #[error("{address}: not found{}", whence(place))]
    NotFound {
        /// The address.
        address: String,
        /// Where it was looked for, if that is not plain.
        place: String,
    },
    /// More bytes than allowed.
    #[error("{address}: more than {limit} bytes; store it smaller or raise --max-bytes")]
    TooLarge {
        /// The address.
        address: String,
        /// The limit.
        limit: u64,
    },
    /// The connection ended before the announced length.
    #[error("{address}: the answer was cut short: {reason}")]
    Truncated {
        /// The address.
        address: String,
        /// The reason.
        reason: String,
    },
    /// Too many redirects, or one that leads nowhere.
    #[error("{address}: {reason}")]
    Redirect {
        /// The address.
        address: String,
        /// What is wrong.
        reason: String,
    },
    /// A path on a Label Studio, and none is known.
    #[error("{address} is a path on a Label Studio; say which with --label-studio URL, or give the images by --images")]
    NoLabelStudio {
        /// The address.
        address: String,
    },
    /// An object's name, and no object store is at hand.
    #[error("{}", once(address, reason))]
    NoStore {
        /// The address.
        address: String,
        /// Why not, and what to do.
        reason: String,
    },
    /// A file that lies outside the folders that may be read.
    #[error("{address}: lies outside the folders that may be read; add its folder with --local-root")]
    Outside {
        /// The address.
        address: String,
    },
    /// A file that cannot be read.
    #[error("{address}: cannot be read: {reason}")]
    Local {
        /// The address.
        address: String,
        /// The reason.
        reason: String,
    },
    /// The object store failed.
    #[error("{}", once(address, reason))]
    Store {
        /// The address.
        address: String,
        /// The reason.
        reason: String,
        /// Whether another try may succeed.
        transient: bool,
    },
    /// The fetcher cannot be set up.
    #[error("{0}")]
    Setup(String),
}

impl FetchError {
    /// Whether another try may succeed: connection errors, timeouts of one try, 408, 429 and 5xx.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Connection { .. } | Self::Timeout { .. } | Self::Truncated { .. } | Self::Resolve { .. } => true,
            Self::Status { status, .. } => matches!(status, 408 | 429 | 500 | 502..=504),
            Self::Store { transient, .. } => *transient,
            _ => false,
        }
    }

    /// How long the other side asked to wait.
    pub(crate) fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Status { retry_after, .. } => *retry_after,
            _ => None,
        }
    }

    /// A stable name for machines.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Address { .. } => "bad_address",
            Self::Scheme { .. } => "unsupported_scheme",
            Self::HostNotAllowed { .. } => "host_not_allowed",
            Self::BucketNotAllowed { .. } | Self::NoAllowedObject { .. } => "bucket_not_allowed",
            Self::ApiPath { .. } => "api_path",
            Self::PrivateAddress { .. } => "private_address",
            Self::Resolve { .. } => "unknown_host",
            Self::Connection { .. } => "no_connection",
            Self::Timeout { .. } => "timeout",
            Self::Status { .. } => "http_status",
            Self::Unauthorized { .. } => "unauthorized",
            Self::Token { .. } => "token",
            Self::NotFound { .. } => "not_found",
            Self::TooLarge { .. } => "too_large",
            Self::Truncated { .. } => "truncated",
            Self::Redirect { .. } => "redirect",
            Self::NoLabelStudio { .. } => "no_label_studio",
            Self::NoStore { .. } => "no_store",
            Self::Outside { .. } => "outside",
            Self::Local { .. } => "unreadable_file",
            Self::Store { .. } => "store",
            Self::Setup(_) => "setup",
        }
    }
}

fn hint(status: u16) -> &'static str {
    match status {
        401 | 403 => " (not allowed to read it)",
        429 => " (too many requests)",
        500.. => " (its own failure)",
        _ => "",
    }
}

/// A reason after its address, which it may name itself.
fn once(address: &str, reason: &str) -> String {
    if reason.contains(address) { reason.into() } else { format!("{address}: {reason}") }
}

fn whence(place: &str) -> String {
    if place.is_empty() { String::new() } else { format!(" in {place}") }
}
