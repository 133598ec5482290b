//! Adapters: lists them, selects among them, and opens devices on them.

use super::fault::{DeviceFault, Health};
use super::limits::LEAST_INVOCATIONS;
use super::params::Params;
use super::report::{AdapterInfo, AdapterKind, GpuError};

/// An adapter of wgpu.
#[derive(Clone, Debug)]
pub(super) struct Adapter {
    pub(super) info: AdapterInfo,
    /// Reason that the kernel cannot run on it.
    unfit: Option<String>,
    handle: wgpu::Adapter,
}

/// Lists every adapter, the preferred one first.
pub fn adapters() -> Vec<AdapterInfo> {
    all().into_iter().map(|adapter| adapter.info).collect()
}

/// Returns the adapters that `selectors` name, each a number or a part of a name; without selectors,
/// the best hardware adapter.
pub(super) fn select(selectors: &[String]) -> Result<Vec<Adapter>, GpuError> {
    let adapters = all();
    if adapters.is_empty() {
        return Err(GpuError::None);
    }
    if selectors.is_empty() {
        let chosen = adapters.iter().find(|adapter| adapter.info.chosen);
        return chosen.map(|adapter| vec![adapter.clone()]).ok_or_else(|| none_chosen(&adapters));
    }
    // A name with commas was split where the selectors were.
    let whole = selectors.join(",");
    let selectors = match adapters.iter().any(|adapter| adapter.info.name == whole) {
        true => &[whole][..],
        false => selectors,
    };
    let mut selected = Vec::new();
    for selector in selectors {
        let named = named(&adapters, selector.trim());
        if named.is_empty() || selector.trim().is_empty() {
            let there_are = adapters.iter().map(|a| format!("{} {}", a.info.index, a.info.name));
            let there_are = there_are.collect::<Vec<_>>().join(", ");
            let selector = format!("{:?}", selector.trim());
            return Err(GpuError::NoSuch { selector, there_are });
        }
        for adapter in named {
            if let Some(reason) = &adapter.unfit {
                let (name, reason) = (adapter.info.name.clone(), reason.clone());
                return Err(GpuError::Device { name, reason });
            }
            selected.push(adapter.clone());
        }
    }
    Ok(selected)
}

/// Returns the adapters that one selector names. A card that several APIs offer is taken once.
fn named<'a>(adapters: &'a [Adapter], selector: &str) -> Vec<&'a Adapter> {
    let index = selector.parse().ok();
    if let Some(adapter) = adapters.iter().find(|adapter| Some(adapter.info.index) == index) {
        return vec![adapter];
    }
    let part = selector.to_lowercase();
    let fits = |adapter: &&Adapter| adapter.info.name.to_lowercase().contains(&part);
    let mut named: Vec<&Adapter> = adapters.iter().filter(fits).collect();
    if let Some(api) = named.first().map(|adapter| adapter.info.api.clone()) {
        named.retain(|adapter| adapter.info.api == api);
    }
    named
}

fn none_chosen(adapters: &[Adapter]) -> GpuError {
    match adapters.iter().find(|adapter| adapter.unfit.is_none()) {
        Some(software) => GpuError::OnlySoftware(software.info.name.clone()),
        None => GpuError::Unfit(
            adapters
                .iter()
                .map(|a| format!("{}: {}", a.info.name, a.unfit.as_deref().unwrap_or_default()))
                .collect::<Vec<_>>()
                .join("; "),
        ),
    }
}

/// Lists every adapter, hardware first, numbered.
fn all() -> Vec<Adapter> {
    let mut descriptor = wgpu::InstanceDescriptor::new_without_display_handle();
    descriptor.backends = wgpu::Backends::PRIMARY;
    // No validation layers, even in debug builds: they are slow and need other packages.
    descriptor.flags = wgpu::InstanceFlags::empty();
    let instance = wgpu::Instance::new(descriptor);
    let handles = pollster::block_on(instance.enumerate_adapters(wgpu::Backends::PRIMARY));
    let mut adapters: Vec<_> = handles.into_iter().map(Adapter::new).collect();
    adapters.sort_by_key(|adapter| adapter.info.kind);
    let best = adapters
        .iter()
        .position(|adapter| adapter.unfit.is_none() && adapter.info.kind != AdapterKind::Software);
    for (index, adapter) in adapters.iter_mut().enumerate() {
        adapter.info.index = index;
        adapter.info.chosen = best == Some(index);
        adapter.info.why_not = adapter.why_not();
    }
    adapters
}

impl Adapter {
    fn new(handle: wgpu::Adapter) -> Self {
        let (about, limits) = (handle.get_info(), handle.limits());
        let info = AdapterInfo {
            index: 0,
            name: about.name,
            vendor: vendor(about.vendor),
            api: format!("{:?}", about.backend),
            driver: format!("{} {}", about.driver, about.driver_info).trim().to_owned(),
            kind: match about.device_type {
                wgpu::DeviceType::DiscreteGpu => AdapterKind::Discrete,
                wgpu::DeviceType::IntegratedGpu => AdapterKind::Integrated,
                wgpu::DeviceType::VirtualGpu => AdapterKind::Virtual,
                wgpu::DeviceType::Cpu => AdapterKind::Software,
                wgpu::DeviceType::Other => AdapterKind::Other,
            },
            max_workgroup: limits
                .max_compute_invocations_per_workgroup
                .min(limits.max_compute_workgroup_size_x),
            max_uniform_bytes: limits.max_uniform_buffer_binding_size,
            chosen: false,
            why_not: None,
        };
        let compute = handle
            .get_downlevel_capabilities()
            .flags
            .contains(wgpu::DownlevelFlags::COMPUTE_SHADERS);
        let unfit = if !compute {
            Some("it has no compute shaders".to_owned())
        } else if info.max_workgroup < LEAST_INVOCATIONS {
            Some(format!("its workgroups hold {} invocations at most", info.max_workgroup))
        } else if info.max_uniform_bytes < size_of::<Params>() as u64 {
            Some(format!("its uniform buffers hold {} bytes at most", info.max_uniform_bytes))
        } else {
            None
        };
        Self { info, unfit, handle }
    }

    fn why_not(&self) -> Option<String> {
        match (&self.unfit, self.info.kind, self.info.chosen) {
            (_, _, true) => None,
            (Some(reason), ..) => Some(reason.clone()),
            (None, AdapterKind::Software, _) => {
                Some("software, slower than the cpu backend; used only when named".to_owned())
            }
            (None, ..) => Some("another one comes first; used only when named".to_owned()),
        }
    }

    /// Returns a string that identifies this device under this driver.
    pub(super) fn identity(&self) -> String {
        let info = &self.info;
        format!("{}|{}|{}|{}", info.name, info.vendor, info.api, info.driver)
    }

    /// Opens a device; its later failures are reported to `health`.
    pub(super) fn device(
        &self,
        health: &Health,
    ) -> Result<(wgpu::Device, wgpu::Queue), DeviceFault> {
        let limits = wgpu::Limits {
            max_compute_invocations_per_workgroup: self.info.max_workgroup,
            max_compute_workgroup_size_x: self.info.max_workgroup,
            ..wgpu::Limits::downlevel_defaults()
        };
        let descriptor = wgpu::DeviceDescriptor {
            label: Some("seedrush"),
            required_features: self.handle.features() & wgpu::Features::PIPELINE_CACHE,
            required_limits: limits.or_worse_values_from(&self.handle.limits()),
            memory_hints: wgpu::MemoryHints::MemoryUsage,
            ..Default::default()
        };
        let (device, queue) = pollster::block_on(self.handle.request_device(&descriptor))
            .map_err(|error| DeviceFault::Lost(error.to_string()))?;
        let uncaptured = health.clone();
        device.on_uncaptured_error(std::sync::Arc::new(move |error: wgpu::Error| {
            uncaptured.report(error.to_string());
        }));
        let lost = health.clone();
        device.set_device_lost_callback(move |reason, message| {
            lost.report(format!("{reason:?} {message}"));
        });
        Ok((device, queue))
    }
}

/// Names the maker of a GPU by its PCI number, or by the one that Khronos assigned.
fn vendor(id: u32) -> String {
    match id {
        0x1002 => "AMD".to_owned(),
        0x1010 => "Imagination".to_owned(),
        0x106b => "Apple".to_owned(),
        0x10de => "NVIDIA".to_owned(),
        0x13b5 => "ARM".to_owned(),
        0x1414 => "Microsoft".to_owned(),
        0x5143 => "Qualcomm".to_owned(),
        0x8086 => "Intel".to_owned(),
        0x10005 => "Mesa".to_owned(),
        _ => format!("{id:#06x}"),
    }
}
