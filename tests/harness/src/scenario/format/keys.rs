//! All keys of a scenario, by section. The reader rejects other keys, and the reference (docs/scenarios.md)
//! lists exactly these.

use relation_host::limits::Limit;
use relation_toml::Section;

macro_rules! keys {
    ([$($key:literal)*]) => { &[$($key),*] };
    (($keys:expr)) => { $keys };
}

macro_rules! sections {
    ($($(#[$doc:meta])* $constant:ident $name:literal $keys:tt;)*) => {
        $(
            $(#[$doc])*
            pub static $constant: Section = Section {
                name: $name,
                keys: keys!($keys),
            };
        )*
        /// All sections, in the order of the reference.
        pub static ALL: &[&Section] = &[$(&$constant),*];
    };
}

sections! {
    /// The top of the file.
    SCENARIO "a scenario" [
        "about" "source" "given" "settings" "node-settings" "secrets" "limits" "webex" "step"
    ];
    /// The state before the first step.
    GIVEN "[given]" ["clock" "seed" "store" "leases" "document" "secret" "wakeup"];
    /// A document that exists before the first step.
    GIVEN_DOCUMENT "[[given.document]]" ["model" "pkid" "hierarchy" "body" "text" "keys"];
    /// A secret that exists before the first step.
    GIVEN_SECRET "[[given.secret]]" ["model" "pkid" "name" "value"];
    /// A wakeup that exists before the first step.
    GIVEN_WAKEUP "[[given.wakeup]]" ["id" "model" "pkid" "due" "deadline" "payload"];
    /// The limits of a call.
    LIMITS "[limits]" (Limit::NAMES);
    /// The emulated Webex.
    WEBEX "[webex]" [
        "mode" "reuse-detection" "access-lifetime" "refresh-lifetime" "code-lifetime" "error-style"
        "bare-responses" "require-pkce" "code-reuse-revokes" "revocation-lag" "violations"
        "organization" "grant" "fault"
    ];
    /// An organization of the emulated Webex.
    ORGANIZATION "[[webex.organization]]" ["name" "display-name" "roles" "licenses"];
    /// Tokens granted by an organization.
    GRANT "[[webex.grant]]" ["name" "organization" "scopes"];
    /// The keys of every step.
    STEP "[[step]]" [
        "about" "call" "concurrently" "advance" "at" "webex" "host" "http" "disturb" "expect"
    ];
    /// One of the concurrent calls of a step.
    CONCURRENT_CALL "[[step.concurrently]]" ["call" "times" "host" "expect"];
    /// The expectations of one concurrent call.
    CONCURRENT_EXPECT "[step.concurrently.expect]" [
        "result" "exact-result" "error" "log" "progress" "transaction"
    ];
    /// Adds a record.
    ADD "call = \"add\"" ["as" "hierarchy" "fields" "tokens" "idempotency-key"];
    /// Changes a record.
    MODIFY "call = \"modify\"" ["record" "fields" "tokens"];
    /// Deletes a record.
    DELETE "call = \"delete\"" ["record" "dry-run"];
    /// Begins a consent.
    CONNECT "call = \"connect\"" ["record" "grant" "redirect-uri"];
    /// Completes a consent.
    COMPLETE_CONNECT "call = \"complete-connect\"" ["record" "callback"];
    /// Refreshes tokens.
    REFRESH "call = \"refresh\"" ["record" "grant"];
    /// Checks expiries.
    CHECK_EXPIRY "call = \"check-expiry\"" ["record" "grant"];
    /// Imports.
    SYNC "call = \"sync\"" ["record" "sync" "accept-removals"];
    /// Runs an action.
    INVOKE "call = \"invoke\"" ["record" "action" "arguments"];
    /// Runs a wakeup.
    WAKE "call = \"wake\"" ["record" "wakeup" "moment" "payload" "due" "deadline"];
    /// Describes the model.
    DESCRIBE "call = \"describe\"" [];
    /// Checks the settings.
    CHECK_SETTINGS "call = \"check-settings\"" [];
    /// A person consents.
    CONSENT "webex = \"consent\"" ["organization" "link" "scopes" "without"];
    /// A person declines.
    DECLINE "webex = \"decline\"" ["link"];
    /// Webex fails at the consent.
    FAIL_CONSENT "webex = \"fail-consent\"" ["link" "error" "description"];
    /// An organization grants tokens.
    NEW_GRANT "webex = \"grant\"" ["name" "organization" "scopes"];
    /// Revokes a grant or a token.
    REVOKE "webex = \"revoke\"" ["organization" "token"];
    /// Changes the mode of refreshes.
    MODE "webex = \"mode\"" ["mode" "reuse-detection"];
    /// Injects a fault.
    FAULT "webex = \"fault\"" ["fault"];
    /// Clears all faults.
    CLEAR_FAULTS "webex = \"clear-faults\"" [];
    /// The roles of an organization.
    ROLES "webex = \"roles\"" ["organization" "roles"];
    /// The licenses of an organization.
    LICENSES "webex = \"licenses\"" ["organization" "licenses"];
    /// The entries of any list of an organization.
    ENTRIES "webex = \"entries\"" ["organization" "listing" "entries"];
    /// Generated entries of a list.
    GENERATE "webex = \"generate\"" ["organization" "listing" "count"];
    /// The behavior of changes of wholesale customers.
    WHOLESALE "webex = \"wholesale\"" ["outcome" "duration" "locks-new-organizations"];
    /// The paging of listings.
    PAGING "webex = \"paging\"" ["listing" "page-size" "defect"];
    /// The host restarts.
    RESTART "host = \"restart\"" [];
    /// An exchange of a script.
    EXCHANGE "[[step.http]]" ["request" "response"];
    /// An expected request.
    REQUEST "[step.http.request]" ["method" "url" "query" "headers" "form" "json" "body"];
    /// A response.
    RESPONSE "[step.http.response]" ["status" "headers" "json" "form" "body" "fault"];
    /// A disturbance between plugin and host.
    DISTURB "[[step.disturb]]" ["import" "nth" "when" "with"];
    /// The expectations of a step.
    EXPECT "[step.expect]" [
        "result" "exact-result" "error" "fired" "http" "storage" "documents" "wakeups" "alerts"
        "log" "progress" "transaction" "nowhere"
    ];
    /// An expected error.
    ERROR "[step.expect.error]" ["case" "fields" "text"];
    /// A wakeup that has run.
    FIRED "[[step.expect.fired]]" ["wakeup" "record" "at" "result" "error"];
    /// A request that was sent.
    REQUESTED "[[step.expect.http]]" [
        "method" "url" "path" "query" "headers" "form" "json" "body" "proxy" "status" "fault"
    ];
    /// The changes to the store.
    STORAGE "[step.expect.storage]" ["added" "changed" "removed" "secrets"];
    /// The changes of sealed secrets.
    STORED_SECRETS "[step.expect.storage.secrets]" ["set" "changed" "unset"];
    /// An active alert.
    ALERT "[[step.expect.alerts]]" [
        "code" "grant" "threshold" "count" "category" "severity" "message" "latest" "record"
    ];
}
