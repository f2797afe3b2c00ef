//! What is taken from the cache, what is not, and that nothing in it can do harm.

use std::io::{Seek as _, SeekFrom};

use tempfile::TempDir;

use super::*;
use crate::limits::Limits;

/// The smallest component: nothing but the preamble.
const EMPTY: &[u8] = b"\0asm\x0d\0\x01\0";

/// The same, with a custom section that has an empty name.
const OTHER: &[u8] = b"\0asm\x0d\0\x01\0\0\x01\0";

struct Scene {
    directory: TempDir,
    cache: ComponentCache,
    engine: Engine,
}

impl Scene {
    fn new() -> Self {
        let directory = TempDir::new().unwrap();
        Self {
            cache: ComponentCache::at(directory.path().join("deep/components")),
            engine: crate::component::engine::engine(&Limits::default()).unwrap(),
            directory,
        }
    }

    fn find(&self, bytes: &[u8]) -> Origin {
        self.cache.find(&self.engine, bytes).unwrap().1
    }

    fn files(&self) -> Vec<PathBuf> {
        let files = fs::read_dir(self.cache.directory()).unwrap();
        files.map(|file| file.unwrap().path()).collect()
    }

    /// The only file.
    fn file(&self) -> PathBuf {
        let files = self.files();
        assert_eq!(files.len(), 1, "{files:?}");
        files.into_iter().next().unwrap()
    }
}

#[test]
fn what_was_compiled_once_is_loaded_by_the_next() {
    let scene = Scene::new();
    assert_eq!(scene.find(EMPTY), Origin::Compiler);
    assert_eq!(scene.find(EMPTY), Origin::Cache);
    let again = crate::component::engine::engine(&Limits::default()).unwrap();
    let found = scene.cache.find(&again, EMPTY).unwrap();
    assert_eq!(found.1, Origin::Cache, "by another engine like it");
}

#[test]
fn another_component_and_another_configuration_have_files_of_their_own() {
    let scene = Scene::new();
    scene.find(EMPTY);
    assert_eq!(scene.find(OTHER), Origin::Compiler);

    let mut config = crate::component::engine::config(&Limits::default());
    config.epoch_interruption(false);
    let without_epochs = Engine::new(&config).unwrap();
    let found = scene.cache.find(&without_epochs, EMPTY).unwrap();
    assert_eq!(found.1, Origin::Compiler);
    assert_eq!(scene.files().len(), 3);
}

#[test]
fn no_flipped_bit_is_ever_loaded_and_what_was_damaged_is_made_anew() {
    let scene = Scene::new();
    scene.find(EMPTY);
    let file = scene.file();
    let name = file.file_name().unwrap().to_str().unwrap().to_owned();
    let whole = fs::read(&file).unwrap();
    // In place: some file systems flush a file that is written anew, which takes milliseconds each time.
    let mut handle = File::options().write(true).open(&file).unwrap();
    let mut put = |at: usize, byte: u8| {
        handle.seek(SeekFrom::Start(at as u64)).unwrap();
        handle.write_all(&[byte]).unwrap();
    };
    for (at, byte) in whole.iter().enumerate() {
        put(at, byte ^ (1 << (at % 8)));
        let loaded = scene.cache.load(&scene.engine, &name);
        assert!(
            matches!(loaded, Err(CacheError::Damaged { .. })),
            "byte {at}"
        );
        put(at, *byte);
    }
    put(0, !whole[0]);
    assert_eq!(scene.find(EMPTY), Origin::Compiler);
    assert_eq!(fs::read(&file).unwrap(), whole);
    assert_eq!(scene.find(EMPTY), Origin::Cache);
}

#[test]
fn a_file_that_ends_early_is_never_loaded() {
    let scene = Scene::new();
    scene.find(EMPTY);
    let file = scene.file();
    let whole = fs::read(&file).unwrap();
    for length in [0, 1, DIGEST - 1, DIGEST, DIGEST + 1, whole.len() - 1] {
        fs::write(&file, &whole[..length]).unwrap();
        assert_eq!(scene.find(EMPTY), Origin::Compiler, "{length} bytes");
        assert_eq!(scene.find(EMPTY), Origin::Cache);
    }
}

#[test]
fn a_component_is_not_loaded_under_the_name_of_another() {
    let scene = Scene::new();
    scene.find(EMPTY);
    let of_empty = scene.file();
    fs::copy(
        &of_empty,
        scene.cache.directory().join(name(&scene.engine, OTHER)),
    )
    .unwrap();
    assert_eq!(scene.find(OTHER), Origin::Compiler);
}

#[test]
fn a_directory_that_cannot_be_made_costs_only_time() {
    let scene = Scene::new();
    let file = scene.directory.path().join("file");
    fs::write(&file, "in the way").unwrap();
    for directory in [file.clone(), file.join("below")] {
        let cache = ComponentCache::at(directory);
        let found = cache.find(&scene.engine, EMPTY).unwrap();
        assert_eq!(found.1, Origin::Compiler);
    }
    assert_eq!(fs::read(&file).unwrap(), b"in the way");
}

#[test]
fn the_longest_unused_go_when_all_take_too_much() {
    let mut scene = Scene::new();
    scene.find(EMPTY);
    let file = scene.file();
    let size = fs::metadata(&file).unwrap().len();
    // Left by a process that was killed, a year ago.
    let year = std::time::Duration::from_secs(365 * 86_400);
    let before = SystemTime::now() - year;
    let abandoned = scene.cache.directory().join(".unfinished-x");
    fs::write(&abandoned, vec![0; usize::try_from(size).unwrap()]).unwrap();
    let handle = File::options().write(true).open(&abandoned).unwrap();
    handle.set_modified(before).unwrap();
    // Not ours to remove.
    let foreign = scene.cache.directory().join("README");
    fs::write(&foreign, vec![0; 1 << 20]).unwrap();

    scene.cache = scene.cache.with_capacity(2 * size + 100);
    scene.find(OTHER);
    assert!(!abandoned.exists(), "the longest unused");
    assert!(file.exists(), "there is room for two");
    assert!(foreign.exists());

    let handle = File::options().write(true).open(&file).unwrap();
    handle.set_modified(before).unwrap();
    scene.find(EMPTY);
    let used = fs::metadata(&file).unwrap().modified().unwrap();
    assert!(used > before, "a use is noticed");

    let other = scene.cache.directory().join(name(&scene.engine, OTHER));
    fs::remove_file(&other).unwrap();
    scene.cache = scene.cache.with_capacity(1);
    scene.find(OTHER);
    assert!(other.exists(), "the newest stays in any case");
    assert!(!file.exists());
}

#[test]
fn many_at_once_all_get_it_and_leave_one_file() {
    let scene = Scene::new();
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for _ in 0..20 {
                    scene.find(EMPTY);
                }
            });
        }
    });
    scene.file();
    assert_eq!(scene.find(EMPTY), Origin::Cache);
}

#[cfg(unix)]
mod of_others {
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};

    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().mode() & 0o777
    }

    fn set_mode(path: &Path, mode: u32) {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn directory_and_files_are_made_for_their_owner_alone() {
        let scene = Scene::new();
        scene.find(EMPTY);
        assert_eq!(mode(scene.cache.directory()), 0o700);
        assert_eq!(mode(scene.cache.directory().parent().unwrap()), 0o700);
        assert_eq!(mode(&scene.file()), 0o600);
    }

    #[test]
    fn a_directory_into_which_others_can_write_is_neither_read_nor_written() {
        let scene = Scene::new();
        scene.find(EMPTY);
        let file = scene.file();
        for open in [0o720, 0o702, 0o1777] {
            set_mode(scene.cache.directory(), open);
            assert_eq!(scene.find(EMPTY), Origin::Compiler, "{open:o}");
            assert_eq!(scene.find(OTHER), Origin::Compiler);
            assert_eq!(scene.file(), file, "nothing was added");
        }
        set_mode(scene.cache.directory(), 0o755);
        assert_eq!(scene.find(EMPTY), Origin::Cache, "others may read");
    }

    #[test]
    fn a_file_that_others_can_write_is_not_loaded_but_replaced() {
        let scene = Scene::new();
        scene.find(EMPTY);
        set_mode(&scene.file(), 0o622);
        assert_eq!(scene.find(EMPTY), Origin::Compiler);
        assert_eq!(mode(&scene.file()), 0o600);
        assert_eq!(scene.find(EMPTY), Origin::Cache);
    }

    #[test]
    fn what_belongs_to_another_user_is_not_loaded() {
        let scene = Scene::new();
        scene.find(EMPTY);
        let file = scene.file();
        // Only root can give files away; for everyone else this shows nothing.
        if std::os::unix::fs::chown(&file, Some(12_345), None).is_err() {
            return;
        }
        assert_eq!(scene.find(EMPTY), Origin::Compiler);
        std::os::unix::fs::chown(scene.cache.directory(), Some(12_345), None).unwrap();
        assert_eq!(scene.find(EMPTY), Origin::Compiler);
    }
}
