//! The records that the plugin has shown recently. Pages and clients that look for changes request lists repeatedly,
//! and most of their records are the same each time.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use relation_app::{AppError, records};
use relation_host::Host;
use relation_host::reports::RecordDetails;
use relation_host::types::{Document, Pkid};

/// The number of records that are kept, of some kilobytes each.
const MAX_KEPT: usize = 2_000;

/// Records by their pkid, each with the document that it was shown from.
#[derive(Default)]
pub(crate) struct ShownRecords {
    kept: Mutex<HashMap<Pkid, (Document, Arc<RecordDetails>)>>,
}

impl ShownRecords {
    /// Shows records as [`records::show_all`] does. The plugin shows those whose documents are new or have changed.
    ///
    /// # Errors
    /// Errors of [`records::show_all`].
    pub(crate) async fn show_all(
        &self,
        host: &Host,
        documents: &[Document],
    ) -> Result<Vec<Arc<RecordDetails>>, AppError> {
        let mut shown: Vec<_> = documents.iter().map(|each| self.find(each)).collect();
        let missing = documents.iter().zip(&shown);
        let missing = missing.filter(|(_, shown)| shown.is_none());
        let missing: Vec<Document> = missing.map(|(document, _)| document.clone()).collect();
        if !missing.is_empty() {
            let details = records::show_all(host, &missing).await?;
            let details = details.into_iter().map(Arc::new);
            let places = shown.iter_mut().filter(|each| each.is_none());
            let mut kept = self.kept.lock();
            if kept.len() + missing.len() > MAX_KEPT {
                kept.clear();
            }
            for ((place, document), details) in places.zip(missing).zip(details) {
                *place = Some(Arc::clone(&details));
                kept.insert(document.reference.pkid.clone(), (document, details));
            }
        }
        Ok(shown.into_iter().flatten().collect())
    }

    /// Finds the record of a document that has not changed since.
    fn find(&self, document: &Document) -> Option<Arc<RecordDetails>> {
        let kept = self.kept.lock();
        let (known, details) = kept.get(&document.reference.pkid)?;
        (known == document).then(|| Arc::clone(details))
    }
}
