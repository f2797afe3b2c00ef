//! The codes of `wasi:http` with which a request can end.

use std::fmt;

use relation_host::imports::HttpError;

/// Every code that `relation-host` gives, and `internal-error`, which other hosts give. Those before
/// [`Code::ConnectionTerminated`] say that the request was certainly not sent (see the contract).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Code {
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

impl Code {
    /// All of them.
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

    /// Those with which the body of an answer can end whose head has come.
    pub const OF_BODIES: [Self; 4] = [
        Self::HttpResponseTimeout,
        Self::HttpResponseIncomplete,
        Self::HttpResponseBodySize,
        Self::HttpProtocolError,
    ];

    /// As the host's own type.
    pub(super) fn code(self) -> HttpError {
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

impl fmt::Display for Code {
    /// As the interface writes it.
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
