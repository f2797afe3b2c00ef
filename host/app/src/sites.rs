//! The sites of a customer's Webex locations, and the mappings that place them: documents of the platform, which a
//! delete of the record leaves alone.

use relation_host::store::{Store, StoreError};
use relation_host::types::{Document, Filter, Hierarchy, Key, Page, Pkid, Scope};
use serde::{Deserialize, Serialize};

use crate::AppError;
use crate::listing::cursor_error;
use crate::records::StoredRecord;

/// The model of sites.
const SITE_MODEL: &str = "data/Site";
/// The model of network device lists.
const NETWORK_DEVICE_LIST_MODEL: &str = "data/NetworkDeviceList";
/// The model of mappings.
const MAPPING_MODEL: &str = "data/WebexLocationNodeMapping";
/// The model of imported locations.
const LOCATION_MODEL: &str = "device/spark/Location";
/// The maximum number of kept documents that are counted.
const MAX_COUNTED: u64 = 100_000;
/// The number of mappings that are read together.
const MAPPING_PAGE: u32 = 1000;

/// A site of a customer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Site {
    /// The primary key.
    pub pkid: Pkid,
    /// The name.
    pub name: String,
    /// The node.
    pub hierarchy: Hierarchy,
    /// The primary key of the site's network device list.
    pub network_device_list: Option<String>,
    /// The default location.
    pub location: Option<SiteLocation>,
}

/// The Webex location that a site has as its default.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SiteLocation {
    /// Webex's id.
    pub id: String,
    /// The name at the last import that changed the site.
    pub name: Option<String>,
    /// Whether the location is imported. A location that has vanished at Webex is not.
    pub imported: bool,
}

/// The members of a site's body.
#[derive(Default, Deserialize)]
#[serde(default)]
struct SiteBody {
    name: String,
    network_device_list: Option<String>,
    default_location: Option<String>,
    default_location_name: Option<String>,
}

/// A mapping of locations to an intermediate node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LocationMapping {
    /// The name of the node directly below the customer.
    pub intermediate_node: String,
    /// The text that the names of locations contain.
    pub search_string: String,
    /// The primary key.
    pub pkid: Pkid,
}

/// The members of a mapping's body.
#[derive(Default, Deserialize)]
#[serde(default)]
struct MappingBody {
    #[serde(rename = "IntermediateNode")]
    intermediate_node: String,
    #[serde(rename = "searchString")]
    search_string: String,
}

/// The number of documents of a model that a delete leaves alone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct KeptDocuments {
    /// The model.
    pub model: String,
    /// The number of documents, 100 000 at most.
    pub count: u64,
}

/// Reads a page of the sites at and below the node of `record`, ordered by pkid.
///
/// # Errors
/// [`ErrorKind::Usage`](crate::ErrorKind::Usage) for a cursor of another list; the store cannot be read.
pub async fn read_page(
    store: &dyn Store,
    record: &StoredRecord,
    cursor: Option<&str>,
    limit: u32,
) -> Result<Page<Site>, AppError> {
    let filter = filter(SITE_MODEL, record, Scope::Subtree);
    let page = store.find(&filter, cursor, limit).await;
    let page = page.map_err(|error| match error {
        StoreError::Invalid(_) if cursor.is_some() => cursor_error(),
        error => error.into(),
    })?;
    let mut items = Vec::with_capacity(page.items.len());
    for document in &page.items {
        items.push(to_site(store, record, document).await?);
    }
    Ok(Page {
        items,
        next: page.next,
    })
}

async fn to_site(
    store: &dyn Store,
    record: &StoredRecord,
    document: &Document,
) -> Result<Site, AppError> {
    let body: SiteBody = serde_json::from_str(&document.body).unwrap_or_default();
    let location = match body.default_location {
        None => None,
        Some(id) => {
            let imported = Filter {
                equals: vec![Key {
                    name: "id".to_owned(),
                    value: id.clone(),
                }],
                ..filter(LOCATION_MODEL, record, Scope::Node)
            };
            Some(SiteLocation {
                imported: store.count(&imported, 1).await? > 0,
                id,
                name: body.default_location_name,
            })
        }
    };
    Ok(Site {
        pkid: document.reference.pkid.clone(),
        name: body.name,
        hierarchy: document.hierarchy.clone(),
        network_device_list: body.network_device_list,
        location,
    })
}

/// Reads the mappings at the node of `record`, in the order in which an import tries them.
///
/// # Errors
/// The store cannot be read.
pub async fn read_mappings(
    store: &dyn Store,
    record: &StoredRecord,
) -> Result<Vec<LocationMapping>, AppError> {
    let filter = filter(MAPPING_MODEL, record, Scope::Node);
    let mut mappings = Vec::new();
    let mut cursor = None;
    loop {
        let page = store.find(&filter, cursor.as_deref(), MAPPING_PAGE).await?;
        mappings.extend(page.items.iter().map(to_mapping));
        match page.next {
            Some(next) => cursor = Some(next),
            None => break,
        }
    }
    mappings.sort_by_cached_key(|mapping| {
        let fold = |text: &str| text.to_lowercase().to_uppercase();
        let (node, search) = (&mapping.intermediate_node, &mapping.search_string);
        (fold(node), fold(search), mapping.pkid.clone())
    });
    Ok(mappings)
}

fn to_mapping(document: &Document) -> LocationMapping {
    let body: MappingBody = serde_json::from_str(&document.body).unwrap_or_default();
    LocationMapping {
        intermediate_node: body.intermediate_node,
        search_string: body.search_string,
        pkid: document.reference.pkid.clone(),
    }
}

/// Counts the documents of the customer that a delete of `record` leaves to the services that use them. A model without
/// documents is left out.
///
/// # Errors
/// The store cannot be read.
pub async fn count_kept(
    store: &dyn Store,
    record: &StoredRecord,
) -> Result<Vec<KeptDocuments>, AppError> {
    let mut kept = Vec::new();
    for (model, scope) in [
        (NETWORK_DEVICE_LIST_MODEL, Scope::Node),
        (SITE_MODEL, Scope::Subtree),
        (MAPPING_MODEL, Scope::Node),
    ] {
        let count = store
            .count(&filter(model, record, scope), MAX_COUNTED)
            .await?;
        if count > 0 {
            kept.push(KeptDocuments {
                model: model.to_owned(),
                count,
            });
        }
    }
    Ok(kept)
}

fn filter(model: &str, record: &StoredRecord, scope: Scope) -> Filter {
    Filter {
        model: model.to_owned(),
        hierarchy: Some((record.hierarchy.clone(), scope)),
        equals: Vec::new(),
    }
}
