//! The engine on wgpu: pipelines, buffers and dispatches of one device.

use super::cache::Cache;
use super::device::Adapter;
use super::engine::{Batch, Engine, Outcome};
use super::fault::{DeviceFault, Health};
use super::limits::{DEPTH, MOST_IN_A_ROW, MOST_SLICES};
use super::params::{Entry, FOUND_HEADER, MEMBER_BITS, Params, constants};
use super::shader::Shape;
use std::collections::{HashMap, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

/// Dynamic offsets of uniform buffers are multiples of this on every device.
const ALIGNMENT: u64 = 256;

/// Distance between the params of two slices of a submission.
const STRIDE: u64 = (size_of::<Params>() as u64).next_multiple_of(ALIGNMENT);

/// A wgpu device with its pipelines and buffers.
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
    /// Later blocks that were used last, and their constants on the device.
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
    /// Opens a device of `adapter` with lists of `capacity` candidates.
    pub(super) fn open(
        adapter: &Adapter,
        cache: &Cache,
        capacity: u32,
    ) -> Result<Self, DeviceFault> {
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

    /// Returns the device, for tests that destroy it.
    #[cfg(test)]
    pub(super) fn device(&self) -> wgpu::Device {
        self.device.clone()
    }

    fn pipeline(
        &mut self,
        shape: Shape,
        workgroup: u32,
    ) -> Result<&wgpu::ComputePipeline, DeviceFault> {
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
        // SAFETY: the text is our own, and what the checks would catch cannot happen in it. Indices
        // are constants, or members below the 256 rows (`Params::of_plan` refuses larger families,
        // `submit` larger ranges), or blocks below `params.blocks`, for which `submit` fills the
        // buffer, or list positions below `params.capacity`, for which `Slot::new` sizes the buffer.
        // Both loops end at one of these bounds. Nothing is divided.
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

    /// Writes the constants of these later blocks to the device.
    fn load_later(&mut self, blocks: &[[u32; 16]]) {
        if self.later.0 != blocks {
            let words: Vec<[u32; 64]> = blocks.iter().map(constants).collect();
            // A new buffer: submissions in flight may still read the old one.
            let buffer = later_buffer(&self.device, words.len());
            self.queue.write_buffer(&buffer, 0, bytemuck::cast_slice(&words));
            self.later = (blocks.to_vec(), buffer);
        }
    }

    fn write_params(&self, slot: &Slot, batch: &Batch) -> Result<(), DeviceFault> {
        for (n, slice) in batch.slices.iter().enumerate() {
            let mut params = Params::of_plan(&slice.plan)
                .ok_or(DeviceFault::Plan("it exceeds the shader's tables"))?;
            let count = slice.bases.end - slice.bases.start;
            let count =
                u32::try_from(count).map_err(|_| DeviceFault::Plan("too many bases at once"))?;
            if slice.members.end > slice.plan.family() {
                return Err(DeviceFault::Plan("members beyond the family"));
            }
            params.slice(slice.bases.start as u32, count, &slice.members, batch.bits);
            params.capacity = self.capacity;
            params.tag = (n as u32) << MEMBER_BITS;
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

    /// Waits for a submission. Catches panics, because wgpu panics if the device is lost here; the
    /// host drops the engine afterwards, so nobody sees broken state.
    fn wait(
        &self,
        submission: wgpu::SubmissionIndex,
        patience: Duration,
    ) -> Result<(), DeviceFault> {
        let wait =
            wgpu::PollType::Wait { submission_index: Some(submission), timeout: Some(patience) };
        match catch_unwind(AssertUnwindSafe(|| self.device.poll(wait))) {
            Ok(Ok(_)) => self.health.check(),
            Ok(Err(wgpu::PollError::Timeout)) => {
                self.health.check().and(Err(DeviceFault::Stalled(patience)))
            }
            Ok(Err(error)) => self.health.check().and(Err(DeviceFault::Lost(error.to_string()))),
            Err(_) => Err(DeviceFault::Lost("waiting for a dispatch failed".to_owned())),
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

    fn submit(&mut self, batch: &Batch) -> Result<(), DeviceFault> {
        let Some(slice) = batch.slices.first() else { return Ok(()) };
        self.load_later(&slice.plan.later_blocks);
        let pipeline = self.pipeline(Shape::of(&slice.plan), batch.workgroup)?.clone();
        let slot = self.free.pop().ok_or(DeviceFault::Plan("too many submissions in flight"))?;
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

    fn finish(&mut self, patience: Duration) -> Result<Outcome, DeviceFault> {
        let Some((_, submission)) = self.busy.front() else {
            return Err(DeviceFault::Plan("nothing is in flight"));
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

    fn outcome(&self, capacity: u32) -> Result<Outcome, DeviceFault> {
        let bytes = self.readback.get_mapped_range(..);
        let bytes = bytes.map_err(|error| DeviceFault::Lost(error.to_string()))?;
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

/// Creates a buffer for the constants of `blocks` later blocks.
fn later_buffer(device: &wgpu::Device, blocks: usize) -> wgpu::Buffer {
    let size = (blocks.max(1) * size_of::<[u32; 64]>()) as u64;
    buffer(device, size, wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_DST)
}

/// Arranges at least `workgroups` workgroups in two dimensions, each within every device's limit.
fn grid(workgroups: u64) -> (u32, u32) {
    let y = workgroups.div_ceil(MOST_IN_A_ROW).max(1);
    (workgroups.div_ceil(y) as u32, y as u32)
}
