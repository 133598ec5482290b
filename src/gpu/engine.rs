//! What runs dispatches: the [`Engine`] trait that the host loop drives, and its form on wgpu.
//!
//! An engine takes submissions in order, keeps a few in flight, and gives their outcomes in the
//! same order. It knows plans and parameters; it does not know spans, claims or judges.

use super::cache::Cache;
use super::device::Adapter;
use super::params::{Entry, FOUND_HEADER, Params, constants};
use super::shader::Shape;
use crate::plan::Plan;
use std::collections::{HashMap, VecDeque};
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Slices that one submission can hold: small segments share one.
pub(super) const MOST_SLICES: usize = 16;

/// Submissions in flight: one runs while the other waits behind it.
pub(super) const DEPTH: usize = 2;

/// Candidates that the list of one submission holds.
pub(super) const CAPACITY: u32 = 1 << 14;

/// Dynamic offsets of uniform buffers are multiples of this on every device.
const ALIGNMENT: u64 = 256;

/// Where the params of each slice of a submission begin.
const STRIDE: u64 = (size_of::<Params>() as u64).next_multiple_of(ALIGNMENT);

/// Bases of a plan, each with the same members: one dispatch.
#[derive(Clone, Debug)]
pub(super) struct Slice {
    pub(super) plan: Arc<Plan>,
    pub(super) bases: Range<u64>,
    pub(super) members: Range<u32>,
}

impl Slice {
    /// Number of candidates.
    pub(super) fn len(&self) -> u64 {
        (self.bases.end - self.bases.start) * self.members.len() as u64
    }

    /// Whether one pipeline and one table of later blocks serve both.
    pub(super) fn goes_with(&self, other: &Slice) -> bool {
        Arc::ptr_eq(&self.plan, &other.plan)
            || (Shape::of(&self.plan) == Shape::of(&other.plan)
                && self.plan.later_blocks == other.plan.later_blocks)
    }
}

/// Slices that go with each other, to be run as one submission.
#[derive(Clone, Debug)]
pub(super) struct Batch {
    pub(super) slices: Vec<Slice>,
    /// Zero bits that pass the filter.
    pub(super) bits: u32,
    /// Invocations of a workgroup.
    pub(super) workgroup: u32,
}

/// What a submission found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Outcome {
    /// How many candidates passed; more than `list` holds where the list was too small.
    pub(super) count: u32,
    /// Base (low part), and slice (above `MEMBER_BITS`) with member.
    pub(super) list: Vec<Entry>,
}

impl Outcome {
    /// Whether the list was too small.
    pub(super) fn overflowed(&self) -> bool {
        self.count as usize > self.list.len()
    }
}

/// Why a device does not go on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Fault {
    #[error("the device was lost: {0}")]
    Lost(String),
    #[error("a dispatch did not end within {} seconds", .0.as_secs())]
    Stalled(Duration),
    #[error("the device computes wrongly ({0}): it is not used any more")]
    Wrong(String),
    #[error("no layout makes such a plan: {0}")]
    Plan(&'static str),
}

pub(super) trait Engine: Send + 'static {
    /// Largest workgroup.
    fn most_invocations(&self) -> u32;

    /// Candidates that the list of one submission holds.
    fn capacity(&self) -> u32;

    /// Submissions that were not finished yet.
    fn in_flight(&self) -> usize;

    /// Puts a batch behind those in flight, fewer than [`DEPTH`].
    fn submit(&mut self, batch: &Batch) -> Result<(), Fault>;

    /// Waits for the oldest submission.
    fn finish(&mut self, patience: Duration) -> Result<Outcome, Fault>;
}

/// What wgpu said went wrong, first things first.
#[derive(Clone, Debug, Default)]
pub(super) struct Health(Arc<Mutex<Option<String>>>);

impl Health {
    pub(super) fn report(&self, message: impl Into<String>) {
        self.message().get_or_insert_with(|| message.into());
    }

    pub(super) fn check(&self) -> Result<(), Fault> {
        self.message().clone().map_or(Ok(()), |message| Err(Fault::Lost(message)))
    }

    fn message(&self) -> std::sync::MutexGuard<'_, Option<String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A device of wgpu with its pipelines and buffers.
pub(super) struct WgpuEngine {
    device: wgpu::Device,
    queue: wgpu::Queue,
    health: Health,
    most_invocations: u32,
    capacity: u32,
    layouts: Layouts,
    pipelines: HashMap<(Shape, u32), wgpu::ComputePipeline>,
    cache: Cache,
    pipeline_cache: Option<wgpu::PipelineCache>,
    /// The later blocks last used, and their constants on the device.
    later: (Vec<[u32; 16]>, wgpu::Buffer),
    free: Vec<Slot>,
    busy: VecDeque<(Slot, wgpu::SubmissionIndex)>,
}

struct Layouts {
    group: wgpu::BindGroupLayout,
    pipeline: wgpu::PipelineLayout,
}

/// The buffers of one submission.
struct Slot {
    params: wgpu::Buffer,
    found: wgpu::Buffer,
    readback: wgpu::Buffer,
}

impl WgpuEngine {
    /// A device of `adapter` with lists of `capacity` candidates.
    pub(super) fn open(adapter: &Adapter, cache: &Cache, capacity: u32) -> Result<Self, Fault> {
        let health = Health::default();
        let (device, queue) = adapter.device(&health)?;
        let layouts = Layouts::new(&device);
        let engine = Self {
            most_invocations: device.limits().max_compute_invocations_per_workgroup,
            capacity,
            layouts,
            pipelines: HashMap::new(),
            pipeline_cache: cache.pipelines(&device),
            cache: cache.clone(),
            later: (Vec::new(), later_buffer(&device, 1)),
            free: (0..DEPTH).map(|_| Slot::new(&device, capacity)).collect(),
            busy: VecDeque::new(),
            device,
            queue,
            health,
        };
        engine.health.check()?;
        Ok(engine)
    }

    /// The device, for tests that take it away.
    #[cfg(test)]
    pub(super) fn device(&self) -> wgpu::Device {
        self.device.clone()
    }

    fn pipeline(&mut self, shape: Shape, workgroup: u32) -> Result<&wgpu::ComputePipeline, Fault> {
        let key = (shape, workgroup);
        if !self.pipelines.contains_key(&key) {
            let pipeline = self.compile(&key.0, workgroup);
            self.health.check()?;
            if let Some(pipeline_cache) = &self.pipeline_cache {
                self.cache.keep_pipelines(&self.device, pipeline_cache);
            }
            self.pipelines.insert(key.clone(), pipeline);
        }
        Ok(&self.pipelines[&key])
    }

    fn compile(&self, shape: &Shape, workgroup: u32) -> wgpu::ComputePipeline {
        let module = wgpu::ShaderModuleDescriptor {
            label: Some("md5"),
            source: wgpu::ShaderSource::Wgsl(shape.wgsl(workgroup).into()),
        };
        // SAFETY: the text is our own, and all that the checks would catch is impossible in it.
        // Indices are constants, or members below the 256 rows (`Params::of_plan` refuses larger
        // families, `submit` larger ranges), or blocks below `params.blocks`, for which `submit`
        // fills the buffer, or places in the list compared with `params.capacity`, for which
        // `Slot::new` makes the buffer. Both loops count up to one of these bounds. There is no
        // division.
        let module = unsafe {
            let unchecked = wgpu::ShaderRuntimeChecks::unchecked();
            self.device.create_shader_module_trusted(module, unchecked)
        };
        self.device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
            label: Some("md5"),
            layout: Some(&self.layouts.pipeline),
            module: &module,
            entry_point: Some("search"),
            compilation_options: wgpu::PipelineCompilationOptions::default(),
            cache: self.pipeline_cache.as_ref(),
        })
    }

    /// Puts the constants of these later blocks on the device.
    fn load_later(&mut self, blocks: &[[u32; 16]]) {
        if self.later.0 != blocks {
            let words: Vec<[u32; 64]> = blocks.iter().map(constants).collect();
            // A new buffer: submissions in flight may still read the old one.
            let buffer = later_buffer(&self.device, words.len());
            self.queue.write_buffer(&buffer, 0, bytemuck::cast_slice(&words));
            self.later = (blocks.to_vec(), buffer);
        }
    }

    fn write_params(&self, slot: &Slot, batch: &Batch) -> Result<(), Fault> {
        for (n, slice) in batch.slices.iter().enumerate() {
            let mut params = Params::of_plan(&slice.plan)
                .ok_or(Fault::Plan("larger than the shader's tables"))?;
            let count = slice.bases.end - slice.bases.start;
            let count = u32::try_from(count).map_err(|_| Fault::Plan("too many bases at once"))?;
            if slice.members.end > slice.plan.family() {
                return Err(Fault::Plan("members beyond the family"));
            }
            params.slice(slice.bases.start as u32, count, &slice.members, batch.bits);
            params.capacity = self.capacity;
            params.tag = (n as u32) << super::params::MEMBER_BITS;
            self.queue.write_buffer(&slot.params, n as u64 * STRIDE, bytemuck::bytes_of(&*params));
        }
        Ok(())
    }

    fn encode(
        &self,
        pipeline: &wgpu::ComputePipeline,
        slot: &Slot,
        batch: &Batch,
    ) -> wgpu::CommandBuffer {
        let mut encoder = self.device.create_command_encoder(&Default::default());
        encoder.clear_buffer(&slot.found, 0, Some(FOUND_HEADER as u64));
        let group = self.layouts.bind(&self.device, slot, &self.later.1);
        let mut pass = encoder.begin_compute_pass(&Default::default());
        pass.set_pipeline(pipeline);
        for (n, slice) in batch.slices.iter().enumerate() {
            pass.set_bind_group(0, &group, &[n as u32 * STRIDE as u32]);
            let (x, y) =
                grid((slice.bases.end - slice.bases.start).div_ceil(batch.workgroup.into()));
            pass.dispatch_workgroups(x, y, 1);
        }
        drop(pass);
        encoder.copy_buffer_to_buffer(&slot.found, 0, &slot.readback, 0, slot.readback.size());
        encoder.finish()
    }

    /// Waits for a submission. wgpu makes a panic of a device lost here, hence the catching: the
    /// engine is thrown away afterwards, so no broken state is seen.
    fn wait(&self, submission: wgpu::SubmissionIndex, patience: Duration) -> Result<(), Fault> {
        let wait =
            wgpu::PollType::Wait { submission_index: Some(submission), timeout: Some(patience) };
        match catch_unwind(AssertUnwindSafe(|| self.device.poll(wait))) {
            Ok(Ok(_)) => self.health.check(),
            Ok(Err(wgpu::PollError::Timeout)) => {
                self.health.check().and(Err(Fault::Stalled(patience)))
            }
            Ok(Err(error)) => self.health.check().and(Err(Fault::Lost(error.to_string()))),
            Err(_) => Err(Fault::Lost("waiting for a dispatch failed".to_owned())),
        }
    }
}

impl Engine for WgpuEngine {
    fn most_invocations(&self) -> u32 {
        self.most_invocations
    }

    fn capacity(&self) -> u32 {
        self.capacity
    }

    fn in_flight(&self) -> usize {
        self.busy.len()
    }

    fn submit(&mut self, batch: &Batch) -> Result<(), Fault> {
        let Some(slice) = batch.slices.first() else { return Ok(()) };
        self.load_later(&slice.plan.later_blocks);
        let pipeline = self.pipeline(Shape::of(&slice.plan), batch.workgroup)?.clone();
        let slot = self.free.pop().ok_or(Fault::Plan("too many submissions in flight"))?;
        self.write_params(&slot, batch)?;
        let commands = self.encode(&pipeline, &slot, batch);
        self.health.check()?;
        let submission = self.queue.submit([commands]);
        let health = self.health.clone();
        slot.readback.map_async(wgpu::MapMode::Read, .., move |result| {
            if let Err(error) = result {
                health.report(format!("a result could not be read: {error}"));
            }
        });
        self.busy.push_back((slot, submission));
        self.health.check()
    }

    fn finish(&mut self, patience: Duration) -> Result<Outcome, Fault> {
        let Some((_, submission)) = self.busy.front() else {
            return Err(Fault::Plan("nothing is in flight"));
        };
        self.wait(submission.clone(), patience)?;
        let Some((slot, _)) = self.busy.pop_front() else { unreachable!("the front was there") };
        let outcome = slot.outcome(self.capacity);
        slot.readback.unmap();
        self.free.push(slot);
        outcome
    }
}

impl Layouts {
    fn new(device: &wgpu::Device) -> Self {
        let params = wgpu::BufferBindingType::Uniform;
        let found = wgpu::BufferBindingType::Storage { read_only: false };
        let later = wgpu::BufferBindingType::Storage { read_only: true };
        let entries: Vec<_> = [(params, true), (found, false), (later, false)]
            .into_iter()
            .zip(0..)
            .map(|((ty, has_dynamic_offset), binding)| wgpu::BindGroupLayoutEntry {
                binding,
                visibility: wgpu::ShaderStages::COMPUTE,
                ty: wgpu::BindingType::Buffer { ty, has_dynamic_offset, min_binding_size: None },
                count: None,
            })
            .collect();
        let group = device.create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor {
            label: Some("md5"),
            entries: &entries,
        });
        let pipeline = device.create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
            label: Some("md5"),
            bind_group_layouts: &[Some(&group)],
            immediate_size: 0,
        });
        Self { group, pipeline }
    }

    fn bind(&self, device: &wgpu::Device, slot: &Slot, later: &wgpu::Buffer) -> wgpu::BindGroup {
        let params = wgpu::BufferBinding {
            buffer: &slot.params,
            offset: 0,
            size: std::num::NonZeroU64::new(size_of::<Params>() as u64),
        };
        let resources = [
            wgpu::BindingResource::Buffer(params),
            slot.found.as_entire_binding(),
            later.as_entire_binding(),
        ];
        let entries: Vec<_> = resources
            .into_iter()
            .zip(0..)
            .map(|(resource, binding)| wgpu::BindGroupEntry { binding, resource })
            .collect();
        device.create_bind_group(&wgpu::BindGroupDescriptor {
            label: Some("md5"),
            layout: &self.group,
            entries: &entries,
        })
    }
}

impl Slot {
    fn new(device: &wgpu::Device, capacity: u32) -> Self {
        use wgpu::BufferUsages as Usage;
        let list = (FOUND_HEADER + capacity as usize * size_of::<Entry>()) as u64;
        Self {
            params: buffer(device, MOST_SLICES as u64 * STRIDE, Usage::UNIFORM | Usage::COPY_DST),
            found: buffer(device, list, Usage::STORAGE | Usage::COPY_SRC | Usage::COPY_DST),
            readback: buffer(device, list, Usage::MAP_READ | Usage::COPY_DST),
        }
    }

    fn outcome(&self, capacity: u32) -> Result<Outcome, Fault> {
        let bytes = self.readback.get_mapped_range(..);
        let bytes = bytes.map_err(|error| Fault::Lost(error.to_string()))?;
        let (header, list) = bytes.split_at(FOUND_HEADER);
        let count: u32 = bytemuck::pod_read_unaligned(&header[..4]);
        let len = count.min(capacity) as usize * size_of::<Entry>();
        let list = list[..len].chunks_exact(size_of::<Entry>());
        Ok(Outcome { count, list: list.map(bytemuck::pod_read_unaligned).collect() })
    }
}

fn buffer(device: &wgpu::Device, size: u64, usage: wgpu::BufferUsages) -> wgpu::Buffer {
    let label = Some("md5");
    device.create_buffer(&wgpu::BufferDescriptor { label, size, usage, mapped_at_creation: false })
}

/// Room for the constants of `blocks` later blocks.
fn later_buffer(device: &wgpu::Device, blocks: usize) -> wgpu::Buffer {
    let size = (blocks.max(1) * size_of::<[u32; 64]>()) as u64;
    buffer(device, size, wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_DST)
}

/// At least `workgroups` workgroups in two dimensions, each within every device's limit.
fn grid(workgroups: u64) -> (u32, u32) {
    let y = workgroups.div_ceil(MOST_IN_A_ROW).max(1);
    (workgroups.div_ceil(y) as u32, y as u32)
}

/// Workgroups in one dimension that every device takes.
const MOST_IN_A_ROW: u64 = 65_535;
