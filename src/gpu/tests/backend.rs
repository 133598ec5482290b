//! Choice of a GPU, and what is kept about it.

use super::super::probe::Probe;
use super::super::shader::Shape;
use super::super::{AdapterKind, Gpu, GpuError, Workload, adapters};
use super::*;
use crate::backend::Backend;
use crate::plan::Plan;

#[test]
fn software_is_used_only_when_named() {
    let Some(adapter) = adapter() else { return };
    let all = adapters();
    assert!(all.iter().any(|info| info.name == adapter.info.name));
    assert!(all.iter().filter(|info| info.chosen).count() <= 1);
    for (index, info) in all.iter().enumerate() {
        assert_eq!(info.index, index);
        assert_ne!(info.chosen, info.why_not.is_some(), "{info:?}");
        assert!(!(info.chosen && info.kind == AdapterKind::Software), "{info:?}");
    }
    let by_default = Gpu::open(&[], Workload::Desktop).map(|gpus| gpus[0].info().kind);
    match by_default {
        Ok(kind) => assert_ne!(kind, AdapterKind::Software),
        Err(error) => {
            assert!(matches!(error, GpuError::OnlySoftware(_)), "{error}");
            assert!(error.to_string().contains("only when named"), "{error}");
        }
    }
}

#[test]
fn selectors_are_numbers_or_parts_of_names() {
    let Some(adapter) = adapter() else { return };
    let select = |words: &[&str]| {
        let words: Vec<_> = words.iter().map(ToString::to_string).collect();
        device::select(&words).map(|all| all.into_iter().map(|a| a.info.index).collect::<Vec<_>>())
    };
    let index = adapter.info.index;
    let part = adapter.info.name[1..4].to_uppercase();
    assert!(select(&[&part]).unwrap().contains(&index));
    let number = index.to_string();
    assert_eq!(select(&[&number, &number]), Ok(vec![index, index]), "the same one twice");
    let error = select(&["no such card"]).unwrap_err().to_string();
    assert!(error.contains("no such card") && error.contains(&adapter.info.name), "{error}");
}

#[test]
fn tuned_settings_serve_the_next_run() {
    let Some(adapter) = adapter() else { return };
    let directory = std::env::temp_dir().join(format!("seedrush-card-{}", std::process::id()));
    let cache = Cache::at(directory.clone());
    let space = space(Layout::Tunnel, Encoding::Bytes, "abcdf").unwrap();
    let shape = Shape::of(&Plan::new(&space, 0).unwrap());
    let gpu = Gpu::on(adapter.clone(), Workload::Idle, cache.clone()).unwrap();
    assert!(gpu.describe().contains(&adapter.info.name));
    // Dispatches of 2 ms, as many as tuning needs: several searches on a slow machine.
    for n in 0..100 {
        let span = Span::with_len(n << 24, 1 << 20);
        let control = Control::new(Arc::clone(&space), span, 20, usize::MAX);
        gpu.search(&control).unwrap();
        assert_eq!(control.done(), SpanSet::from(span));
        if cache.tuned(&shape).is_some() {
            break;
        }
    }
    assert!(cache.tuned(&shape).is_some(), "nothing was tuned");
    // The next run starts with these settings and finds the same.
    let gpu = Gpu::on(adapter, Workload::Desktop, cache).unwrap();
    let span = Span::with_len(1 << 50, 1 << 13);
    let control = control(&space, span);
    gpu.search(&control).unwrap();
    assert_complete(&control, span);
    std::fs::remove_dir_all(directory).unwrap();
}

#[test]
fn the_probe_does_every_step_it_counts() {
    let Some(adapter) = adapter() else { return };
    let probe = Probe::open(&adapter).unwrap();
    for rounds in [1, 3] {
        assert!(probe.run(rounds).unwrap() > Duration::ZERO);
        let expected: Vec<u32> = (0..300).map(|n| Probe::expected(n, rounds)).collect();
        assert_eq!(probe.sums(300), expected);
    }
}

#[test]
fn workloads_have_names_and_times() {
    for workload in Workload::ALL {
        assert_eq!(workload.to_string().parse(), Ok(workload));
    }
    assert!(Workload::ALL.windows(2).all(|pair| pair[0].dispatch() < pair[1].dispatch()));
    let error = "quick".parse::<Workload>().unwrap_err().to_string();
    assert!(error.contains("headless"), "{error}");
}
