//! Every key that a scenario may have, by section. The reader refuses all others, and the reference
//! (docs/scenarios.md) lists just these.

/// A table of a scenario and the keys that it may have.
#[derive(Debug)]
pub struct Section {
    /// How it is written, such as `[given]`; for a step what it does, such as `call = "add"`.
    pub name: &'static str,
    /// The keys of its own.
    pub keys: &'static [&'static str],
    /// A section whose keys it may have besides.
    pub base: Option<&'static Section>,
}

impl Section {
    /// All keys that it may have.
    pub fn known(&self) -> Vec<&'static str> {
        let mut known = self.keys.to_vec();
        if let Some(base) = self.base {
            known.extend(base.known());
        }
        known
    }

    /// Whether it may have this key.
    pub fn knows(&self, key: &str) -> bool {
        self.keys.contains(&key) || self.base.is_some_and(|base| base.knows(key))
    }
}

macro_rules! sections {
    ($($(#[$doc:meta])* $constant:ident $name:literal $(: $base:ident)? [$($key:literal)*];)*) => {
        $(
            $(#[$doc])*
            pub static $constant: Section = Section {
                name: $name,
                keys: &[$($key),*],
                base: sections!(@base $($base)?),
            };
        )*
        /// All sections, in the order of the reference.
        pub static ALL: &[&Section] = &[$(&$constant),*];
    };
    (@base) => { None };
    (@base $base:ident) => { Some(&$base) };
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
    STEP "[[step]]" ["about" "call" "advance" "at" "webex" "host" "http" "disturb" "expect"];
    /// Adds a record.
    ADD "call = \"add\"" : STEP ["as" "hierarchy" "fields" "tokens" "idempotency-key"];
    /// Changes a record.
    MODIFY "call = \"modify\"" : STEP ["record" "fields" "tokens"];
    /// Deletes a record.
    DELETE "call = \"delete\"" : STEP ["record" "dry-run"];
    /// Begins a consent.
    CONNECT "call = \"connect\"" : STEP ["record" "grant" "redirect-uri"];
    /// Completes a consent.
    COMPLETE_CONNECT "call = \"complete-connect\"" : STEP ["record" "callback"];
    /// Refreshes tokens.
    REFRESH "call = \"refresh\"" : STEP ["record" "grant"];
    /// Looks at expiries.
    CHECK_EXPIRY "call = \"check-expiry\"" : STEP ["record" "grant"];
    /// Imports.
    SYNC "call = \"sync\"" : STEP ["record" "kind"];
    /// Answers a wakeup.
    WAKE "call = \"wake\"" : STEP ["record" "wakeup" "payload" "due" "deadline"];
    /// Describes the model.
    DESCRIBE "call = \"describe\"" : STEP [];
    /// A person consents.
    CONSENT "webex = \"consent\"" : STEP ["organization" "link" "scopes" "without"];
    /// A person declines.
    DECLINE "webex = \"decline\"" : STEP ["link"];
    /// Webex fails at the consent.
    FAIL_CONSENT "webex = \"fail-consent\"" : STEP ["link" "error" "description"];
    /// An organisation grants tokens.
    NEW_GRANT "webex = \"grant\"" : STEP ["name" "organization" "scopes"];
    /// What was granted ends.
    REVOKE "webex = \"revoke\"" : STEP ["organization" "token"];
    /// Refreshes answer otherwise.
    MODE "webex = \"mode\"" : STEP ["mode" "reuse-detection"];
    /// Something will go wrong.
    FAULT "webex = \"fault\"" : STEP ["fault"];
    /// Nothing goes wrong any more.
    CLEAR_FAULTS "webex = \"clear-faults\"" : STEP [];
    /// The roles of an organisation.
    ROLES "webex = \"roles\"" : STEP ["organization" "roles"];
    /// The licences of an organisation.
    LICENSES "webex = \"licenses\"" : STEP ["organization" "licenses"];
    /// How listings come in pages.
    PAGING "webex = \"paging\"" : STEP ["listing" "page-size" "defect"];
    /// The host stops in order and starts again.
    RESTART "host = \"restart\"" : STEP [];
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
