//! Measures the best rate of a device: MD5 steps in registers, without reads or a filter, in two
//! independent chains per invocation. `bench` compares rates with it.
//!
//! wgpu reports neither the clock nor the number of multiprocessors, and makers differ in integer
//! instructions per cycle. So the rate is measured with the kernel's own instructions.

use super::device::Adapter;
use super::fault::{DeviceFault, Health};
use super::shader;
use std::ops::Range;
use std::time::{Duration, Instant};

/// Steps of a tunnel's members.
const STEPS: Range<usize> = 23..61;

/// Invocations of a workgroup, and number of workgroups: more than any device runs at once.
const WORKGROUP: u32 = 128;
const WORKGROUPS: u32 = 8192;
const INVOCATIONS: u32 = WORKGROUP * WORKGROUPS;

/// Independent chains of an invocation.
const CHAINS: u32 = 2;

/// Measurements, of which the fastest counts.
const REPEATS: usize = 5;

/// A device that takes longer has failed.
const PATIENCE: Duration = Duration::from_secs(10);

/// Measures the MD5 steps a second of the whole device, with dispatches of about `target`.
pub(super) fn steps_a_second(adapter: &Adapter, target: Duration) -> Result<f64, DeviceFault> {
    let probe = Probe::open(adapter)?;
    let mut rounds = 1;
    // The first run also wakes the device up.
    probe.run(rounds)?;
    while probe.run(rounds)? < target / 2 && rounds < 1 << 24 {
        rounds *= 2;
    }
    let mut fastest = Duration::MAX;
    for _ in 0..REPEATS {
        fastest = fastest.min(probe.run(rounds)?);
    }
    let steps = u64::from(INVOCATIONS) * u64::from(CHAINS * rounds) * STEPS.len() as u64;
    Ok(steps as f64 / fastest.as_secs_f64())
}

pub(super) struct Probe {
    device: wgpu::Device,
    queue: wgpu::Queue,
    health: Health,
    pipeline: wgpu::ComputePipeline,
    group: wgpu::BindGroup,
    rounds: wgpu::Buffer,
    #[cfg(test)]
    sums: wgpu::Buffer,
}

impl Probe {
    pub(super) fn open(adapter: &Adapter) -> Result<Self, DeviceFault> {
        let health = Health::default();
        let (device, queue) = adapter.device(&health)?;
        let module = device.create_shader_module(wgpu::ShaderModuleDescriptor {
            label: Some("probe"),
            source: wgpu::ShaderSource::Wgsl(wgsl().into()),
        });
        let pipeline = device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
            label: Some("probe"),
            layout: None,
            module: &module,
            entry_point: Some("probe"),
            compilation_options: wgpu::PipelineCompilationOptions::default(),
            cache: None,
        });
        let buffer = |size: u64, usage| {
            let label = Some("probe");
            let descriptor =
                wgpu::BufferDescriptor { label, size, usage, mapped_at_creation: false };
            device.create_buffer(&descriptor)
        };
        use wgpu::BufferUsages as Usage;
        let rounds = buffer(16, Usage::UNIFORM | Usage::COPY_DST);
        let sums = buffer(4 * u64::from(INVOCATIONS), Usage::STORAGE | Usage::COPY_SRC);
        let entries = [
            wgpu::BindGroupEntry { binding: 0, resource: rounds.as_entire_binding() },
            wgpu::BindGroupEntry { binding: 1, resource: sums.as_entire_binding() },
        ];
        let group = device.create_bind_group(&wgpu::BindGroupDescriptor {
            label: Some("probe"),
            layout: &pipeline.get_bind_group_layout(0),
            entries: &entries,
        });
        health.check()?;
        Ok(Self {
            device,
            queue,
            health,
            pipeline,
            group,
            rounds,
            #[cfg(test)]
            sums,
        })
    }

    /// Runs one dispatch of so many rounds of [`STEPS`] and returns the time it took.
    pub(super) fn run(&self, rounds: u32) -> Result<Duration, DeviceFault> {
        self.queue.write_buffer(&self.rounds, 0, bytemuck::bytes_of(&[rounds; 4]));
        let mut encoder = self.device.create_command_encoder(&Default::default());
        let mut pass = encoder.begin_compute_pass(&Default::default());
        pass.set_pipeline(&self.pipeline);
        pass.set_bind_group(0, &self.group, &[]);
        pass.dispatch_workgroups(WORKGROUPS, 1, 1);
        drop(pass);
        let commands = encoder.finish();
        let began = Instant::now();
        let submission = self.queue.submit([commands]);
        let (submission_index, timeout) = (Some(submission), Some(PATIENCE));
        self.device
            .poll(wgpu::PollType::Wait { submission_index, timeout })
            .map_err(|error| DeviceFault::Lost(error.to_string()))?;
        self.health.check()?;
        Ok(began.elapsed())
    }

    /// Returns the results of the first `count` invocations of the last dispatch.
    #[cfg(test)]
    pub(super) fn sums(&self, count: usize) -> Vec<u32> {
        let size = 4 * count as u64;
        let readback = self.device.create_buffer(&wgpu::BufferDescriptor {
            label: Some("probe"),
            size,
            usage: wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST,
            mapped_at_creation: false,
        });
        let mut encoder = self.device.create_command_encoder(&Default::default());
        encoder.copy_buffer_to_buffer(&self.sums, 0, &readback, 0, size);
        self.queue.submit([encoder.finish()]);
        readback.map_async(wgpu::MapMode::Read, .., Result::unwrap);
        self.device.poll(wgpu::PollType::wait_indefinitely()).unwrap();
        bytemuck::pod_collect_to_vec(&readback.get_mapped_range(..).unwrap()[..])
    }

    /// Computes the result of an invocation on this processor.
    #[cfg(test)]
    pub(super) fn expected(invocation: u32, rounds: u32) -> u32 {
        let chain = |seed: u32| {
            let start = [seed, !seed, seed.rotate_left(8), seed.wrapping_mul(3)];
            let round = |state, _| STEPS.fold(state, |q, i| crate::steps::step(i, q, 0));
            (0..rounds).fold(start, round).into_iter().fold(0, |sum, q| sum ^ q)
        };
        (0..CHAINS).fold(0, |sum, n| sum ^ chain(CHAINS * invocation + n))
    }
}

/// Returns the shader: two chains side by side, in the components of vectors.
fn wgsl() -> String {
    let step = "        let sum$i = $q4 + vec2<u32>($ku) + $boolean;
        let q$i = $q1 + ((sum$i << vec2<u32>($leftu)) | (sum$i >> vec2<u32>($rightu)));
";
    let steps: String = STEPS.map(|i| shader::fill(step, &[("$k", constant(i))], i)).collect();
    let [first, second, third, fourth] = std::array::from_fn(|n| STEPS.start - 4 + n);
    let last = STEPS.end;
    format!(
        "@group(0) @binding(0) var<uniform> rounds: vec4<u32>;
@group(0) @binding(1) var<storage, read_write> sums: array<u32>;

@compute @workgroup_size({WORKGROUP})
fn probe(@builtin(global_invocation_id) id: vec3<u32>) {{
    let seed = vec2<u32>(2u * id.x, 2u * id.x + 1u);
    var a = seed;
    var b = ~seed;
    var c = (seed << vec2<u32>(8u)) | (seed >> vec2<u32>(24u));
    var d = seed * 3u;
    for (var round = 0u; round < rounds.x; round++) {{
        let q{first} = a;
        let q{second} = b;
        let q{third} = c;
        let q{fourth} = d;
{steps}        a = q{};
        b = q{};
        c = q{};
        d = q{};
    }}
    let all = a ^ b ^ c ^ d;
    sums[id.x] = all.x ^ all.y;
}}
",
        last - 4,
        last - 3,
        last - 2,
        last - 1,
    )
}

fn constant(i: usize) -> String {
    crate::steps::K[i].to_string()
}
