//! Imports on an in-memory platform.

mod changes;
mod data_syncs;
mod errors;
mod independence;
mod lists;
mod removals;
mod resumption;
mod shifts;
mod sites;

use std::cell::RefCell;
use std::rc::Rc;

use http::Method;
use serde_json::{Value, json};

use super::*;
use crate::platform::{Document, Environment, HttpError, HttpRequest, HttpResponse, Reference};
use crate::record::{Record, key};
use crate::reports::ImportCount;
use crate::testing::{DATA_SYNCS, MemoryPlatform, ORGANIZATION, PKID, json_response, raw_response};
use crate::webex::ids::OrgId;

const ROLE: &str = "device/spark/Role";
const LICENSE: &str = "device/spark/License";

type HttpResult = Result<HttpResponse, HttpError>;

/// Webex's lists, and the number of entries on a page.
struct Webex {
    roles: Vec<Value>,
    licenses: Vec<Value>,
    locations: Vec<Value>,
    page: usize,
}

/// A platform with a connected record, and a server with Webex's lists.
struct World {
    platform: MemoryPlatform,
    webex: Rc<RefCell<Webex>>,
}

impl World {
    fn new() -> Self {
        let platform = MemoryPlatform::connected().unwrap();
        let webex = Rc::new(RefCell::new(Webex {
            roles: vec![role(1), role(2)],
            licenses: vec![license(1, 10), license(2, 20), license(3, 30)],
            locations: Vec::new(),
            page: 1_000,
        }));
        let served = webex.clone();
        platform.serve(move |_, request| served.borrow().respond(request));
        Self { platform, webex }
    }

    /// Creates a world with `count` licenses, `page` of them on a page.
    fn with_licenses(count: u32, page: usize) -> Self {
        let world = Self::new();
        world.webex.borrow_mut().licenses = (1..=count).map(|n| license(n, n)).collect();
        world.webex.borrow_mut().page = page;
        world
    }

    fn sync(&self) -> Result<SyncReport, Failure> {
        sync(&self.platform, PKID, "roles-licenses", false)
    }

    fn sync_accepting_removals(&self) -> Result<SyncReport, Failure> {
        sync(&self.platform, PKID, "roles-licenses", true)
    }

    /// Calls `sync` until the import is finished. Returns the number of calls and the last report.
    fn sync_to_end(&self) -> (u32, SyncReport) {
        for calls in 1..1_000 {
            let report = self.sync().unwrap();
            if report.continues.is_none() {
                return (calls, report);
            }
        }
        panic!("the import does not end");
    }

    /// Returns the bodies of a model's documents, in the order of Webex's ids.
    fn stored(&self, model: &str) -> Vec<Value> {
        let documents = self.platform.documents_of(model);
        let mut bodies: Vec<Value> = documents.iter().map(body).collect();
        bodies.sort_by_key(|body| body["totalUnits"].as_u64());
        bodies
    }

    fn wakeup(&self) -> Option<crate::platform::Wakeup> {
        let id = "sync.roles-licenses";
        self.platform.wakeup(&Reference::record(PKID), id)
    }

    fn requests(&self) -> Vec<String> {
        let sent = self.platform.sent();
        sent.iter().map(|sent| sent.uri.to_string()).collect()
    }
}

impl Webex {
    fn respond(&self, request: &HttpRequest) -> HttpResult {
        let path = request.uri().path();
        let list = match (request.method(), path) {
            (&Method::GET, "/v1/roles") => &self.roles,
            (&Method::GET, "/v1/licenses") => &self.licenses,
            (&Method::GET, "/v1/locations") => &self.locations,
            _ => return json_response(404, json!({"message": "nothing here"})),
        };
        let query = request.uri().query().unwrap_or_default();
        let from: usize = query
            .split('&')
            .find_map(|parameter| parameter.strip_prefix("cursor="))
            .map_or(0, |cursor| cursor.parse().unwrap());
        let to = list.len().min(from + self.page);
        let body = json!({"items": list[from..to]}).to_string();
        if to == list.len() {
            return raw_response(200, &[], body);
        }
        let link = format!("<https://webexapis.com{path}?cursor={to}&orgId=x>; rel=\"next\"");
        raw_response(200, &[("Link", &link)], body)
    }
}

fn role(n: u32) -> Value {
    json!({"id": format!("R{n}"), "name": format!("Role {n}")})
}

fn license(n: u32, total: u32) -> Value {
    json!({"id": format!("L{n}"), "name": format!("License {n}"), "totalUnits": total})
}

fn body(document: &Document) -> Value {
    serde_json::from_str(&document.body).unwrap()
}

fn import_count(model: &str, found: u32, added: u32, updated: u32, removed: u32) -> ImportCount {
    ImportCount {
        model: model.to_owned(),
        found,
        added,
        updated,
        removed,
        failed: None,
    }
}
