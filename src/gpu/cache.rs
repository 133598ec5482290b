//! Keeps tuned settings and compiled pipelines between runs, in the user's cache directory. Losing
//! them costs only time, so nothing here fails.

use super::shader::Shape;
use super::tune::Tuned;
use std::collections::hash_map::DefaultHasher;
use std::fs;
use std::hash::{Hash, Hasher};
use std::path::{Path, PathBuf};

/// The cache directory of one device under one driver; none in tests and without a home directory.
#[derive(Clone, Debug, Default)]
pub(super) struct Cache {
    directory: Option<PathBuf>,
}

impl Cache {
    /// Returns a cache that keeps nothing.
    #[cfg(test)]
    pub(super) fn none() -> Self {
        Self::default()
    }

    /// Returns the cache of the device with this identity.
    pub(super) fn of(identity: &str) -> Self {
        let place = |root: PathBuf| root.join("seedrush").join(hex(identity));
        Self { directory: user_cache_directory().map(place) }
    }

    #[cfg(test)]
    pub(super) fn at(directory: PathBuf) -> Self {
        Self { directory: Some(directory) }
    }

    /// Reads the settings for this shape.
    pub(super) fn tuned(&self, shape: &Shape) -> Option<Tuned> {
        fs::read_to_string(self.tune_file(shape)?).ok()?.parse().ok()
    }

    pub(super) fn keep_tuned(&self, shape: &Shape, tuned: Tuned) {
        if let Some(file) = self.tune_file(shape) {
            replace(&file, tuned.to_string().as_bytes());
        }
    }

    /// Reads compiled pipelines, if the driver can use them.
    pub(super) fn pipelines(&self, device: &wgpu::Device) -> Option<wgpu::PipelineCache> {
        let file = self.pipeline_file(device)?;
        let stored = fs::read(file).ok();
        let data = stored.as_deref().and_then(unsealed);
        let descriptor = wgpu::PipelineCacheDescriptor { label: Some("md5"), data, fallback: true };
        // SAFETY: `keep_pipelines` wrote the data with a checksum, which still matches. The directory
        // belongs to this device and driver, and the driver checks that again.
        Some(unsafe { device.create_pipeline_cache(&descriptor) })
    }

    pub(super) fn keep_pipelines(&self, device: &wgpu::Device, pipelines: &wgpu::PipelineCache) {
        if let (Some(file), Some(data)) = (self.pipeline_file(device), pipelines.get_data()) {
            replace(&file, &sealed(&data));
        }
    }

    fn pipeline_file(&self, device: &wgpu::Device) -> Option<PathBuf> {
        let able = device.features().contains(wgpu::Features::PIPELINE_CACHE);
        self.directory.as_ref().filter(|_| able).map(|directory| directory.join("pipelines"))
    }

    fn tune_file(&self, shape: &Shape) -> Option<PathBuf> {
        // The text is the kernel's version; the workgroup size is not part of it.
        let name = format!("tune-{}", hex(&shape.wgsl(0)));
        self.directory.as_ref().map(|directory| directory.join(name))
    }
}

/// Returns the user's cache directory.
fn user_cache_directory() -> Option<PathBuf> {
    let variable = |name| std::env::var_os(name).map(PathBuf::from).filter(|p| p.is_absolute());
    if cfg!(windows) {
        return variable("LOCALAPPDATA");
    }
    let home = || variable("HOME");
    if cfg!(target_os = "macos") {
        return home().map(|home| home.join("Library/Caches"));
    }
    variable("XDG_CACHE_HOME").or_else(|| home().map(|home| home.join(".cache")))
}

/// Writes a whole file or none, so that no reader sees half of one.
fn replace(file: &Path, content: &[u8]) {
    let new = file.with_extension(format!("new-{}", std::process::id()));
    let written = file
        .parent()
        .map_or(Ok(()), fs::create_dir_all)
        .and_then(|()| fs::write(&new, content))
        .and_then(|()| fs::rename(&new, file));
    if written.is_err() {
        // With a read-only or full disk, the next run tunes again.
        let _ = fs::remove_file(&new);
    }
}

fn sealed(data: &[u8]) -> Vec<u8> {
    [&hash(data).to_le_bytes()[..], data].concat()
}

fn unsealed(file: &[u8]) -> Option<&[u8]> {
    let (checksum, data) = file.split_at_checked(8)?;
    (checksum == hash(data).to_le_bytes()).then_some(data)
}

/// Hashes `value`. A new version of the standard library may change this, which empties the cache.
fn hash(value: &(impl Hash + ?Sized)) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

fn hex(value: &(impl Hash + ?Sized)) -> String {
    format!("{:016x}", hash(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seal_detects_any_change() {
        let file = sealed(b"pipelines");
        assert_eq!(unsealed(&file), Some(&b"pipelines"[..]));
        for at in 0..file.len() {
            let mut changed = file.clone();
            changed[at] ^= 1;
            assert_eq!(unsealed(&changed), None, "byte {at}");
        }
        assert_eq!(unsealed(&file[..5]), None);
    }

    #[test]
    fn tuned_settings_are_kept() {
        let directory = std::env::temp_dir().join(format!("seedrush-test-{}", std::process::id()));
        let cache = Cache::at(directory.clone());
        let shape = Shape { start: 11, text: true, more: false, base_words: vec![11] };
        assert_eq!(cache.tuned(&shape), None);
        let tuned = Tuned { workgroup: 64, rate: 1.5e9 };
        cache.keep_tuned(&shape, tuned);
        assert_eq!(cache.tuned(&shape), Some(tuned));
        assert_eq!(cache.tuned(&Shape { text: false, ..shape }), None);
        fs::remove_dir_all(directory).unwrap();
    }
}
