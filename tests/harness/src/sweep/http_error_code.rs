//! The error codes of `wasi:http` for requests.

use std::fmt;

use relation_host::imports::HttpError;

/// All codes that `relation-host` returns, and `internal-error`, which other hosts return. The codes before
/// [`HttpErrorCode::ConnectionTerminated`] mean that the request was not sent (see the contract).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HttpErrorCode {
    /// `DNS-timeout`
    DnsTimeout,
    /// `DNS-error`
    DnsError,
    /// `destination-unavailable`
    DestinationUnavailable,
    /// `destination-IP-prohibited`
    DestinationIpProhibited,
    /// `connection-refused`
    ConnectionRefused,
    /// `connection-timeout`
    ConnectionTimeout,
    /// `connection-limit-reached`
    ConnectionLimitReached,
    /// `TLS-protocol-error`
    TlsProtocolError,
    /// `TLS-certificate-error`
    TlsCertificateError,
    /// `HTTP-request-denied`
    HttpRequestDenied,
    /// `HTTP-request-URI-invalid`
    HttpRequestUriInvalid,
    /// `HTTP-request-header-section-size`
    HttpRequestHeaderSectionSize,
    /// `configuration-error`
    ConfigurationError,
    /// `connection-terminated`
    ConnectionTerminated,
    /// `HTTP-response-timeout`
    HttpResponseTimeout,
    /// `HTTP-response-header-section-size`
    HttpResponseHeaderSectionSize,
    /// `HTTP-response-incomplete`
    HttpResponseIncomplete,
    /// `HTTP-response-body-size`
    HttpResponseBodySize,
    /// `HTTP-protocol-error`
    HttpProtocolError,
    /// `internal-error`
    InternalError,
}

impl HttpErrorCode {
    /// All codes.
    pub const ALL: [Self; 20] = [
        Self::DnsTimeout,
        Self::DnsError,
        Self::DestinationUnavailable,
        Self::DestinationIpProhibited,
        Self::ConnectionRefused,
        Self::ConnectionTimeout,
        Self::ConnectionLimitReached,
        Self::TlsProtocolError,
        Self::TlsCertificateError,
        Self::HttpRequestDenied,
        Self::HttpRequestUriInvalid,
        Self::HttpRequestHeaderSectionSize,
        Self::ConfigurationError,
        Self::ConnectionTerminated,
        Self::HttpResponseTimeout,
        Self::HttpResponseHeaderSectionSize,
        Self::HttpResponseIncomplete,
        Self::HttpResponseBodySize,
        Self::HttpProtocolError,
        Self::InternalError,
    ];

    /// The codes that can end the body of a response.
    pub const OF_BODY: [Self; 4] = [
        Self::HttpResponseTimeout,
        Self::HttpResponseIncomplete,
        Self::HttpResponseBodySize,
        Self::HttpProtocolError,
    ];

    /// Converts to the host's type.
    pub(super) fn to_host_error(self) -> HttpError {
        match self {
            Self::DnsTimeout => HttpError::DnsTimeout,
            Self::DnsError => HttpError::DnsError {
                rcode: None,
                info_code: None,
            },
            Self::DestinationUnavailable => HttpError::DestinationUnavailable,
            Self::DestinationIpProhibited => HttpError::DestinationIpProhibited,
            Self::ConnectionRefused => HttpError::ConnectionRefused,
            Self::ConnectionTimeout => HttpError::ConnectionTimeout,
            Self::ConnectionLimitReached => HttpError::ConnectionLimitReached,
            Self::TlsProtocolError => HttpError::TlsProtocolError,
            Self::TlsCertificateError => HttpError::TlsCertificateError,
            Self::HttpRequestDenied => HttpError::HttpRequestDenied,
            Self::HttpRequestUriInvalid => HttpError::HttpRequestUriInvalid,
            Self::HttpRequestHeaderSectionSize => HttpError::HttpRequestHeaderSectionSize(None),
            Self::ConfigurationError => HttpError::ConfigurationError,
            Self::ConnectionTerminated => HttpError::ConnectionTerminated,
            Self::HttpResponseTimeout => HttpError::HttpResponseTimeout,
            Self::HttpResponseHeaderSectionSize => HttpError::HttpResponseHeaderSectionSize(None),
            Self::HttpResponseIncomplete => HttpError::HttpResponseIncomplete,
            Self::HttpResponseBodySize => HttpError::HttpResponseBodySize(None),
            Self::HttpProtocolError => HttpError::HttpProtocolError,
            Self::InternalError => HttpError::InternalError(None),
        }
    }
}

impl fmt::Display for HttpErrorCode {
    /// Formats the code as `wasi:http` writes it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::DnsTimeout => "DNS-timeout",
            Self::DnsError => "DNS-error",
            Self::DestinationUnavailable => "destination-unavailable",
            Self::DestinationIpProhibited => "destination-IP-prohibited",
            Self::ConnectionRefused => "connection-refused",
            Self::ConnectionTimeout => "connection-timeout",
            Self::ConnectionLimitReached => "connection-limit-reached",
            Self::TlsProtocolError => "TLS-protocol-error",
            Self::TlsCertificateError => "TLS-certificate-error",
            Self::HttpRequestDenied => "HTTP-request-denied",
            Self::HttpRequestUriInvalid => "HTTP-request-URI-invalid",
            Self::HttpRequestHeaderSectionSize => "HTTP-request-header-section-size",
            Self::ConfigurationError => "configuration-error",
            Self::ConnectionTerminated => "connection-terminated",
            Self::HttpResponseTimeout => "HTTP-response-timeout",
            Self::HttpResponseHeaderSectionSize => "HTTP-response-header-section-size",
            Self::HttpResponseIncomplete => "HTTP-response-incomplete",
            Self::HttpResponseBodySize => "HTTP-response-body-size",
            Self::HttpProtocolError => "HTTP-protocol-error",
            Self::InternalError => "internal-error",
        })
    }
}
