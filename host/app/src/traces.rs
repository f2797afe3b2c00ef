//! Where traces are sent: the configuration, and the standard variables of OpenTelemetry where it is silent.

use std::path::PathBuf;
use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue, Uri};
use percent_encoding::percent_decode_str;
use relation_host::egress::{Client, ClientOptions, Origin, Policy, ProxyUrl};
use secrecy::{ExposeSecret as _, SecretString};
use url::Url;

use crate::config::{Config, DEFAULT_SAMPLE, check_base_url};
use crate::{AppError, ErrorKind, secret_text};

/// The name of the file of header fields in messages.
pub const TRACES_HEADERS: &str = "the header fields of traces.headers-file";
/// The maximum time of a request to the collector.
const MAX_TIMEOUT: Duration = Duration::from_secs(5);
/// The maximum size of the collector's response, in bytes. Its content is of no use.
const MAX_RESPONSE: u64 = 64 * 1024;
/// The path of traces at a collector (OTLP specification).
const TRACES_PATH: &str = "v1/traces";

const DISABLED: &str = "OTEL_SDK_DISABLED";
const SERVICE_NAME: &str = "OTEL_SERVICE_NAME";
const DEFAULT_SERVICE_NAME: &str = "relation-host";

/// Where traces are sent, and which.
#[derive(Clone, Debug)]
pub struct TracesTarget {
    /// The complete address at the collector.
    pub endpoint: Url,
    /// The header fields for the collector.
    pub headers: TracesHeaders,
    /// The proxy on the way to the collector.
    pub proxy: Option<ProxyUrl>,
    /// The maximum time of a request.
    pub timeout: Duration,
    /// The share of calls whose spans are sent.
    pub sample: f64,
    /// The name of the service.
    pub service_name: String,
    /// Whether spans have the primary key and the name of the customer.
    pub customers: bool,
    /// A PEM file of certificate authorities to trust in addition to the system's.
    extra_ca: Option<PathBuf>,
}

/// The source of the header fields for the collector.
#[derive(Clone, Debug)]
pub enum TracesHeaders {
    /// There are none.
    None,
    /// A file with a field on each line. It is read for each request.
    File(PathBuf),
    /// The value of a variable: `name=value` with percent-encoding, separated by commas.
    Variable(&'static str, SecretString),
}

/// Returns where traces are sent; `None`: nowhere.
///
/// # Errors
/// Configuration and environment contradict each other, or ask for what this program does not have.
pub fn traces_target(config: &Config) -> Result<Option<TracesTarget>, AppError> {
    resolve(config, |name| {
        let value = std::env::var(name).ok();
        // By OpenTelemetry's specification, an empty variable counts as unset.
        value.filter(|value| !value.trim().is_empty())
    })
}

/// Returns the first of the variables for traces and for all signals that is set, with its name.
fn first_of(
    names: [&'static str; 2],
    variable: &impl Fn(&str) -> Option<String>,
) -> Option<(&'static str, String)> {
    let mut found = names
        .into_iter()
        .filter_map(|name| Some((name, variable(name)?)));
    found.next()
}

macro_rules! exporter_variables {
    ($suffix:literal) => {
        [
            concat!("OTEL_EXPORTER_OTLP_TRACES_", $suffix),
            concat!("OTEL_EXPORTER_OTLP_", $suffix),
        ]
    };
}

fn resolve(
    config: &Config,
    variable: impl Fn(&str) -> Option<String>,
) -> Result<Option<TracesTarget>, AppError> {
    let traces = &config.traces;
    let is_disabled = variable(DISABLED).is_some_and(|value| value.eq_ignore_ascii_case("true"));
    let endpoint = match (&traces.endpoint, find_endpoint(&variable)?) {
        (Some(_), _) if is_disabled => {
            return Err(contradiction("traces.endpoint", DISABLED));
        }
        (Some(ours), None) => Some(with_path(ours.clone())),
        (Some(ours), Some((name, theirs))) => {
            let ours = with_path(ours.clone());
            if ours != theirs {
                return Err(contradiction("traces.endpoint", name));
            }
            Some(ours)
        }
        (None, _) if is_disabled => None,
        (None, found) => found.map(|(_, endpoint)| endpoint),
    };
    let sample = traces.sample.unwrap_or(DEFAULT_SAMPLE);
    let Some(endpoint) = endpoint.filter(|_| sample > 0.0) else {
        return Ok(None);
    };
    refuse_unsupported(&variable)?;
    let headers = first_of(exporter_variables!("HEADERS"), &variable);
    let headers = match (&traces.headers_file, headers) {
        (Some(_), Some((name, _))) => return Err(contradiction("traces.headers-file", name)),
        (Some(file), None) => TracesHeaders::File(file.clone()),
        (None, Some((name, value))) => TracesHeaders::Variable(name, value.into()),
        (None, None) => TracesHeaders::None,
    };
    if let TracesHeaders::Variable(..) = headers {
        headers.read()?;
    }
    let certificate = first_of(exporter_variables!("CERTIFICATE"), &variable);
    Ok(Some(TracesTarget {
        endpoint,
        headers,
        proxy: traces.proxy.clone(),
        timeout: find_timeout(&variable)?,
        sample,
        service_name: variable(SERVICE_NAME).unwrap_or_else(|| DEFAULT_SERVICE_NAME.to_owned()),
        customers: traces.customers,
        extra_ca: match certificate {
            Some((_, file)) => Some(file.into()),
            None => config.egress.extra_ca.clone(),
        },
    }))
}

/// Returns the endpoint that the environment names. The variable for traces has the complete address, that for all
/// signals the root.
fn find_endpoint(
    variable: &impl Fn(&str) -> Option<String>,
) -> Result<Option<(&'static str, Url)>, AppError> {
    let [for_traces, for_all] = exporter_variables!("ENDPOINT");
    let Some((name, text)) = first_of([for_traces, for_all], variable) else {
        return Ok(None);
    };
    let url = check_base_url(text.trim()).map_err(|reason| {
        let shown = match reason.contains("user or password") {
            true => reason,
            false => format!("{reason}; write it as http://host:4318"),
        };
        AppError::usage(format!("{name} cannot be used: {shown}"))
    })?;
    let url = match name == for_all {
        true => join_path(url),
        false => url,
    };
    Ok(Some((name, url)))
}

/// Adds the path of traces to an address without a path.
fn with_path(endpoint: Url) -> Url {
    match endpoint.path() {
        "" | "/" => join_path(endpoint),
        _ => endpoint,
    }
}

fn join_path(mut root: Url) -> Url {
    let path = format!("{}/{TRACES_PATH}", root.path().trim_end_matches('/'));
    root.set_path(&path);
    root
}

/// Refuses what OpenTelemetry's variables can ask for and this program does not have.
fn refuse_unsupported(variable: &impl Fn(&str) -> Option<String>) -> Result<(), AppError> {
    let refuse = |names, is_supported: fn(&str) -> bool, supported: &str| {
        let found = first_of(names, variable);
        match found.filter(|(_, value)| !is_supported(value.trim())) {
            Some((name, value)) => Err(AppError::usage(format!(
                "{name} is {value:?}, but traces are sent {supported}"
            ))
            .hint(format!(
                "unset {name}, or let the collector accept OTLP over HTTP"
            ))),
            None => Ok(()),
        }
    };
    refuse(
        exporter_variables!("PROTOCOL"),
        |value| value == "http/protobuf",
        "with http/protobuf only",
    )?;
    refuse(
        exporter_variables!("COMPRESSION"),
        |value| value == "none",
        "without compression",
    )?;
    for names in [
        exporter_variables!("CLIENT_CERTIFICATE"),
        exporter_variables!("CLIENT_KEY"),
    ] {
        refuse(names, |_| false, "without a client certificate")?;
    }
    Ok(())
}

/// Returns the timeout that the environment gives in milliseconds, but at most five seconds.
fn find_timeout(variable: &impl Fn(&str) -> Option<String>) -> Result<Duration, AppError> {
    let Some((name, text)) = first_of(exporter_variables!("TIMEOUT"), variable) else {
        return Ok(MAX_TIMEOUT);
    };
    match text.trim().parse() {
        Ok(millis) if millis > 0 => Ok(MAX_TIMEOUT.min(Duration::from_millis(millis))),
        _ => Err(AppError::usage(format!(
            "{name} is {text:?}, but it is a number of milliseconds, such as 5000"
        ))),
    }
}

fn contradiction(setting: &str, variable: &str) -> AppError {
    AppError::usage(format!("{setting} and {variable} contradict each other")).hint(format!(
        "remove {setting} from the configuration, or unset {variable}"
    ))
}

impl TracesTarget {
    /// Returns the address as requests have it.
    ///
    /// # Errors
    /// The address cannot be requested.
    pub fn uri(&self) -> Result<Uri, AppError> {
        let parsed = self.endpoint.as_str().parse();
        parsed.map_err(|error| self.refuse(&error))
    }

    /// Builds the HTTP client of the collector, which reaches nothing else.
    ///
    /// # Errors
    /// The address cannot be requested, or the certificate authorities cannot be read.
    pub fn client(&self) -> Result<Client, AppError> {
        let origin = Origin::from_uri(&self.uri()?).map_err(|error| self.refuse(&error))?;
        let proxy = self.proxy.as_ref().map(|proxy| proxy.origin().clone());
        let options = ClientOptions {
            connect_timeout: self.timeout,
            max_response_bytes: MAX_RESPONSE,
            max_idle: 1,
            extra_ca_file: self.extra_ca.clone(),
            ..ClientOptions::default()
        };
        let client = Client::new(Policy::for_traces(origin, proxy), options);
        client.map_err(|error| AppError::usage(error.to_string()))
    }

    fn refuse(&self, reason: &impl std::fmt::Display) -> AppError {
        let origin = self.endpoint.origin().ascii_serialization();
        AppError::usage(format!("traces cannot be sent to {origin}: {reason}"))
    }
}

impl TracesHeaders {
    /// Reads the header fields.
    ///
    /// # Errors
    /// The file cannot be read, or a field is malformed. The error has no value.
    pub fn read(&self) -> Result<HeaderMap, AppError> {
        let mut headers = HeaderMap::new();
        match self {
            Self::None => {}
            Self::Variable(name, value) => {
                let fields = value.expose_secret().split(',').map(str::trim);
                for (index, field) in fields.filter(|field| !field.is_empty()).enumerate() {
                    let parsed = field.split_once('=').and_then(|(name, value)| {
                        let value = percent_decode_str(value.trim()).decode_utf8();
                        parse_field(name, &value.ok()?)
                    });
                    let number = index.saturating_add(1);
                    let (key, value) = parsed.ok_or_else(|| {
                        AppError::usage(format!(
                            "{name} cannot be used: field {number} is not name=value"
                        ))
                    })?;
                    headers.append(key, value);
                }
            }
            Self::File(file) => {
                let source = file.display();
                let bytes = secret_text::read_file(file)
                    .map_err(|error| secret_text::read_error(TRACES_HEADERS, &source, &error))?;
                let text =
                    secret_text::decode(&bytes, TRACES_HEADERS, &source.to_string(), &source)?;
                let lines = text.expose_secret().lines().map(str::trim).enumerate();
                for (index, line) in lines {
                    if line.is_empty() || line.starts_with('#') {
                        continue;
                    }
                    let parsed = line.split_once(':');
                    let parsed = parsed.and_then(|(name, value)| parse_field(name, value));
                    let (key, value) = parsed.ok_or_else(|| {
                        let number = index.saturating_add(1);
                        let message = format!(
                            "cannot use {TRACES_HEADERS}: line {number} of {source} is not `Name: value`"
                        );
                        AppError::new(ErrorKind::Usage, message)
                    })?;
                    headers.append(key, value);
                }
            }
        }
        Ok(headers)
    }
}

/// Parses a header field, and marks its value as sensitive.
fn parse_field(name: &str, value: &str) -> Option<(HeaderName, HeaderValue)> {
    let name = HeaderName::from_bytes(name.trim().as_bytes()).ok()?;
    let mut value = HeaderValue::from_str(value.trim()).ok()?;
    value.set_sensitive(true);
    Some((name, value))
}

#[cfg(test)]
mod tests;
