//! Tests of which files are loaded from the cache and which are rejected.

use std::io::{Seek as _, SeekFrom};

use tempfile::TempDir;

use super::*;
use crate::limits::Limits;

/// The smallest component: only the preamble.
const EMPTY: &[u8] = b"\0asm\x0d\0\x01\0";

/// The same, with a custom section that has an empty name.
const OTHER: &[u8] = b"\0asm\x0d\0\x01\0\0\x01\0";

struct World {
    directory: TempDir,
    cache: ComponentCache,
    engine: Engine,
}

impl World {
    fn new() -> Self {
        let directory = TempDir::new().unwrap();
        Self {
            cache: ComponentCache::new(directory.path().join("deep/components")),
            engine: crate::component::engine::engine(&Limits::default()).unwrap(),
            directory,
        }
    }

    fn find(&self, bytes: &[u8]) -> Provenance {
        self.cache.find(&self.engine, bytes, &mut false).unwrap().1
    }

    fn files(&self) -> Vec<PathBuf> {
        let files = fs::read_dir(self.cache.directory()).unwrap();
        files.map(|file| file.unwrap().path()).collect()
    }

    /// Returns the only file.
    fn file(&self) -> PathBuf {
        let files = self.files();
        assert_eq!(files.len(), 1, "{files:?}");
        files.into_iter().next().unwrap()
    }
}

#[test]
fn compiled_component_is_loaded_by_another_engine() {
    let world = World::new();
    assert_eq!(world.find(EMPTY), Provenance::Compiler);
    assert_eq!(world.find(EMPTY), Provenance::Cache);
    let again = crate::component::engine::engine(&Limits::default()).unwrap();
    let found = world.cache.find(&again, EMPTY, &mut false).unwrap();
    assert_eq!(found.1, Provenance::Cache, "by another engine like it");
}

#[test]
fn cache_key_covers_component_and_configuration() {
    let world = World::new();
    world.find(EMPTY);
    assert_eq!(world.find(OTHER), Provenance::Compiler);

    let mut config = crate::component::engine::config(&Limits::default());
    config.epoch_interruption(false);
    let without_epochs = Engine::new(&config).unwrap();
    let found = world
        .cache
        .find(&without_epochs, EMPTY, &mut false)
        .unwrap();
    assert_eq!(found.1, Provenance::Compiler);
    assert_eq!(world.files().len(), 3);
}

#[test]
fn damaged_file_is_not_loaded_and_is_replaced() {
    let world = World::new();
    world.find(EMPTY);
    let file = world.file();
    let name = file.file_name().unwrap().to_str().unwrap().to_owned();
    let whole = fs::read(&file).unwrap();
    // In place: some file systems flush a rewritten file, which takes milliseconds each time.
    let mut handle = File::options().write(true).open(&file).unwrap();
    let mut put = |at: usize, byte: u8| {
        handle.seek(SeekFrom::Start(at as u64)).unwrap();
        handle.write_all(&[byte]).unwrap();
    };
    for (at, byte) in whole.iter().enumerate() {
        put(at, byte ^ (1 << (at % 8)));
        let loaded = world.cache.load(&world.engine, &name);
        assert!(
            matches!(loaded, Err(CacheError::Damaged { .. })),
            "byte {at}"
        );
        put(at, *byte);
    }
    put(0, !whole[0]);
    assert_eq!(world.find(EMPTY), Provenance::Compiler);
    assert_eq!(fs::read(&file).unwrap(), whole);
    assert_eq!(world.find(EMPTY), Provenance::Cache);
}

#[test]
fn truncated_file_is_not_loaded() {
    let world = World::new();
    world.find(EMPTY);
    let file = world.file();
    let whole = fs::read(&file).unwrap();
    for length in [
        0,
        1,
        DIGEST_BYTES - 1,
        DIGEST_BYTES,
        DIGEST_BYTES + 1,
        whole.len() - 1,
    ] {
        fs::write(&file, &whole[..length]).unwrap();
        assert_eq!(world.find(EMPTY), Provenance::Compiler, "{length} bytes");
        assert_eq!(world.find(EMPTY), Provenance::Cache);
    }
}

#[test]
fn component_is_not_loaded_under_another_name() {
    let world = World::new();
    world.find(EMPTY);
    let of_empty = world.file();
    fs::copy(
        &of_empty,
        world.cache.directory().join(name(&world.engine, OTHER)),
    )
    .unwrap();
    assert_eq!(world.find(OTHER), Provenance::Compiler);
}

#[test]
fn uncreatable_directory_falls_back_to_compiling() {
    let world = World::new();
    let file = world.directory.path().join("file");
    fs::write(&file, "in the way").unwrap();
    for directory in [file.clone(), file.join("below")] {
        let cache = ComponentCache::new(directory);
        let found = cache.find(&world.engine, EMPTY, &mut false).unwrap();
        assert_eq!(found.1, Provenance::Compiler);
    }
    assert_eq!(fs::read(&file).unwrap(), b"in the way");
}

#[test]
fn least_recently_used_files_are_removed() {
    let mut world = World::new();
    world.find(EMPTY);
    let file = world.file();
    let size = fs::metadata(&file).unwrap().len();
    // Left by a process that was killed a year ago.
    let year = std::time::Duration::from_secs(365 * 86_400);
    let before = SystemTime::now() - year;
    let abandoned = world.cache.directory().join(".unfinished-x");
    fs::write(&abandoned, vec![0; usize::try_from(size).unwrap()]).unwrap();
    let handle = File::options().write(true).open(&abandoned).unwrap();
    handle.set_modified(before).unwrap();
    // A file that does not belong to the cache.
    let foreign = world.cache.directory().join("README");
    fs::write(&foreign, vec![0; 1 << 20]).unwrap();

    world.cache = world.cache.with_capacity(2 * size + 100);
    world.find(OTHER);
    assert!(!abandoned.exists(), "the longest unused");
    assert!(file.exists(), "there is room for two");
    assert!(foreign.exists());

    let handle = File::options().write(true).open(&file).unwrap();
    handle.set_modified(before).unwrap();
    world.find(EMPTY);
    let used = fs::metadata(&file).unwrap().modified().unwrap();
    assert!(used > before, "a use is noticed");

    let other = world.cache.directory().join(name(&world.engine, OTHER));
    fs::remove_file(&other).unwrap();
    world.cache = world.cache.with_capacity(1);
    world.find(OTHER);
    assert!(other.exists(), "the newest stays in any case");
    assert!(!file.exists());
}

#[test]
fn concurrent_threads_share_one_file() {
    let world = World::new();
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for _ in 0..20 {
                    world.find(EMPTY);
                }
            });
        }
    });
    world.file();
    assert_eq!(world.find(EMPTY), Provenance::Cache);
}

#[cfg(unix)]
mod permissions {
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};

    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().mode() & 0o777
    }

    fn set_mode(path: &Path, mode: u32) {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn directory_and_files_are_private_to_the_owner() {
        let world = World::new();
        world.find(EMPTY);
        assert_eq!(mode(world.cache.directory()), 0o700);
        assert_eq!(mode(world.cache.directory().parent().unwrap()), 0o700);
        assert_eq!(mode(&world.file()), 0o600);
    }

    #[test]
    fn directory_writable_by_others_is_not_used() {
        let world = World::new();
        world.find(EMPTY);
        let file = world.file();
        for open in [0o720, 0o702, 0o1777] {
            set_mode(world.cache.directory(), open);
            assert_eq!(world.find(EMPTY), Provenance::Compiler, "{open:o}");
            assert_eq!(world.find(OTHER), Provenance::Compiler);
            assert_eq!(world.file(), file, "nothing was added");
        }
        set_mode(world.cache.directory(), 0o755);
        assert_eq!(world.find(EMPTY), Provenance::Cache, "others may read");
    }

    #[test]
    fn file_writable_by_others_is_replaced() {
        let world = World::new();
        world.find(EMPTY);
        set_mode(&world.file(), 0o622);
        assert_eq!(world.find(EMPTY), Provenance::Compiler);
        assert_eq!(mode(&world.file()), 0o600);
        assert_eq!(world.find(EMPTY), Provenance::Cache);
    }

    #[test]
    fn file_of_another_user_is_not_loaded() {
        let world = World::new();
        world.find(EMPTY);
        let file = world.file();
        // Only root can give files away; for other users this test checks nothing.
        if std::os::unix::fs::chown(&file, Some(12_345), None).is_err() {
            return;
        }
        assert_eq!(world.find(EMPTY), Provenance::Compiler);
        std::os::unix::fs::chown(world.cache.directory(), Some(12_345), None).unwrap();
        assert_eq!(world.find(EMPTY), Provenance::Compiler);
    }
}
