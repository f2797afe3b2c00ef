//! Files for tests.

use crate::scratch::ScratchStore as _;
use crate::sqlite::ScratchFile;

#[tokio::test]
async fn scratch_file_is_removed_with_the_files_beside_it() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a.db");
    let other = directory.path().join("a.db-notes");
    std::fs::write(&other, "").unwrap();
    let scratch = ScratchFile::take(&path).unwrap();
    let store = scratch.open().await.unwrap();
    let id = store.id().to_owned();
    drop(store);
    assert_eq!(scratch.open().await.unwrap().id(), id);
    assert!(ScratchFile::take(&path).is_err());
    scratch.clear().await.unwrap();
    assert_ne!(scratch.open().await.unwrap().id(), id);
    scratch.remove().await.unwrap();
    let left = std::fs::read_dir(directory.path()).unwrap();
    let left: Vec<_> = left.map(|entry| entry.unwrap().path()).collect();
    assert_eq!(left, [other]);
}
