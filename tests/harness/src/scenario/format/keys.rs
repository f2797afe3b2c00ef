//! Every key that a scenario may have, by section. The reader refuses all others, and the reference
//! (docs/scenarios.md) lists just these.

/// A table of a scenario and the keys that it may have.
#[derive(Debug)]
pub struct Section {
    /// How it is written, such as `[given]`; for a step what it does, such as `call = "add"`.
    pub name: &'static str,
    /// The keys that it may have.
    pub keys: &'static [&'static str],
}

impl Section {
    /// Whether it may have this key.
    pub fn knows(&self, key: &str) -> bool {
        self.keys.contains(&key)
    }
}

macro_rules! sections {
    ($($(#[$doc:meta])* $constant:ident $name:literal [$($key:literal)*];)*) => {
        $(
            $(#[$doc])*
            pub static $constant: Section = Section {
                name: $name,
                keys: &[$($key),*],
            };
        )*
        /// All sections, in the order of the reference.
        pub static ALL: &[&Section] = &[$(&$constant),*];
    };
}

sections! {
    /// The top of the file.
    SCENARIO "a scenario" [
        "about" "source" "given" "settings" "secrets" "limits" "webex" "step"
    ];
    /// Where it begins.
    GIVEN "[given]" ["clock" "seed" "store" "leases" "document" "secret" "wakeup"];
    /// A document that is there already.
    GIVEN_DOCUMENT "[[given.document]]" ["model" "pkid" "hierarchy" "body" "text" "keys"];
    /// A secret that is there already.
    GIVEN_SECRET "[[given.secret]]" ["model" "pkid" "name" "value"];
    /// A wakeup that is there already.
    GIVEN_WAKEUP "[[given.wakeup]]" ["id" "model" "pkid" "due" "deadline" "payload"];
    /// What a call may use.
    LIMITS "[limits]" [
        "memory" "time" "request-time" "response" "headers" "requests" "commit" "changes"
        "host-calls" "transfer" "handles" "table" "secrets" "log"
    ];
    /// The emulated Webex.
    WEBEX "[webex]" [
        "mode" "reuse-detection" "access-life" "refresh-life" "code-life" "error-style"
        "bare-answers" "require-pkce" "code-reuse-revokes" "revocation-lag" "violations"
        "organization" "grant" "fault"
    ];
    /// An organisation of the emulated Webex.
    ORGANIZATION "[[webex.organization]]" ["name" "display-name" "roles" "licenses"];
    /// Tokens that an organisation granted.
    GRANT "[[webex.grant]]" ["name" "organization" "scopes"];
    /// What every step may have.
    STEP "[[step]]" [
        "about" "call" "at-once" "advance" "at" "webex" "host" "http" "disturb" "expect"
    ];
    /// One of the calls of a step that are made at once.
    AT_ONCE "[[step.at-once]]" ["call" "times" "host" "expect"];
    /// What must come of it.
    AT_ONCE_EXPECT "[step.at-once.expect]" [
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
    /// Looks at expiries.
    CHECK_EXPIRY "call = \"check-expiry\"" ["record" "grant"];
    /// Imports.
    SYNC "call = \"sync\"" ["record" "kind" "accept-removals"];
    /// Answers a wakeup.
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
    /// An organisation grants tokens.
    NEW_GRANT "webex = \"grant\"" ["name" "organization" "scopes"];
    /// What was granted ends.
    REVOKE "webex = \"revoke\"" ["organization" "token"];
    /// Refreshes answer otherwise.
    MODE "webex = \"mode\"" ["mode" "reuse-detection"];
    /// Something will go wrong.
    FAULT "webex = \"fault\"" ["fault"];
    /// Nothing goes wrong any more.
    CLEAR_FAULTS "webex = \"clear-faults\"" [];
    /// The roles of an organisation.
    ROLES "webex = \"roles\"" ["organization" "roles"];
    /// The licences of an organisation.
    LICENSES "webex = \"licenses\"" ["organization" "licenses"];
    /// How listings come in pages.
    PAGING "webex = \"paging\"" ["listing" "page-size" "defect"];
    /// The host stops in order and starts again.
    RESTART "host = \"restart\"" [];
    /// An exchange of a script.
    EXCHANGE "[[step.http]]" ["request" "answer"];
    /// What is asked.
    REQUEST "[step.http.request]" ["method" "url" "query" "headers" "form" "json" "body"];
    /// What is answered.
    ANSWER "[step.http.answer]" ["status" "headers" "json" "form" "body" "fault"];
    /// What goes wrong between plugin and host.
    DISTURB "[[step.disturb]]" ["import" "nth" "when" "with"];
    /// What must come of a step.
    EXPECT "[step.expect]" [
        "result" "exact-result" "error" "fired" "http" "storage" "documents" "wakeups" "alerts"
        "log" "progress" "transaction" "nowhere"
    ];
    /// How a call fails.
    ERROR "[step.expect.error]" ["case" "fields" "text"];
    /// A wakeup that was answered.
    FIRED "[[step.expect.fired]]" ["wakeup" "record" "at" "result" "error"];
    /// A request that was made.
    REQUESTED "[[step.expect.http]]" [
        "method" "url" "path" "query" "headers" "form" "json" "body" "proxy" "status" "fault"
    ];
    /// What a step changed in the store.
    STORAGE "[step.expect.storage]" ["added" "changed" "removed" "secrets"];
    /// What a step changed among sealed secrets.
    STORED_SECRETS "[step.expect.storage.secrets]" ["set" "changed" "unset"];
    /// An alert that stands.
    ALERT "[[step.expect.alerts]]" [
        "code" "grant" "threshold" "count" "category" "severity" "message" "latest" "record"
    ];
}
