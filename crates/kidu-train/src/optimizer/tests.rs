//! Against PyTorch 2.9: four steps on four numbers.

use super::*;

fn rule(settings: OptimizerSettings, weight_decay: f64) -> Vec<f32> {
    let device = Device::flex();
    let optimizer = Optimizer::new(&settings, 1.0);
    let mut state = ParameterState::default();
    let mut value = Tensor::<1>::from_floats([0.5, -1.0, 2.0, 0.1], &device);
    for k in 0..4u8 {
        let k = f32::from(k);
        let base = Tensor::<1>::from_floats([0.3, -0.2, 1e-3, 5.0], &device);
        let gradient = base * (k + 1.0) - 0.5 * (k % 2.0);
        state.step += 1;
        value = optimizer.rule.update(value, gradient, &mut state, Rate { lr: 0.1, weight_decay });
    }
    state_dict::to_host(value)
}

#[test]
fn four_steps_are_pytorchs() {
    let base = OptimizerSettings { momentum: Some(0.0), ..Default::default() };
    let with = |name| OptimizerSettings { name, ..base.clone() };
    let cases = [
        (with(OptimizerName::Adam), 0.0, [0.141_398_97, -0.628_825_9, 2.105_425_6, -0.288_683_62]),
        (with(OptimizerName::Adam), 0.1, [0.134_238_81, -0.621_17, 1.939_361, -0.288_743_2]),
        (
            OptimizerSettings { betas: [0.8, 0.95], eps: Some(1e-6), ..with(OptimizerName::AdamW) },
            0.1,
            [0.122_882_46, -0.588_230_4, 2.033_176_4, -0.293_160_9],
        ),
        (with(OptimizerName::Sgd), 0.1, [0.282_288, -0.663_581, 2.019_207, -4.755_185]),
        (
            OptimizerSettings { momentum: Some(0.9), ..with(OptimizerName::Sgd) },
            0.0,
            [0.128_729_98, -0.443_320_07, 2.183_644, -8.994],
        ),
        (
            OptimizerSettings { momentum: Some(0.9), nesterov: true, ..with(OptimizerName::Sgd) },
            0.1,
            [-0.082_857_646, -0.096_339_48, 2.023_126_4, -12.744_474],
        ),
        (with(OptimizerName::RmsProp), 0.0, [-2.356_038, 2.290_04, 2.703_270_4, -3.329_644]),
        (
            OptimizerSettings { momentum: Some(0.5), alpha: 0.9, ..with(OptimizerName::RmsProp) },
            0.1,
            [-0.907_400_1, 0.623_859_76, 1.875_885_8, -1.618_295_4],
        ),
    ];
    for (settings, weight_decay, expected) in cases {
        let found = rule(settings.clone(), weight_decay);
        for (a, b) in found.iter().zip(expected) {
            assert!((a - b).abs() < 2e-6 * b.abs().max(1.0), "{settings:?}: {found:?} {expected:?}");
        }
    }
}

#[test]
fn groups_of_rates_and_no_decay_on_one_dimension() {
    let network = Network::new(&kidu_core::model::find("resnet18").unwrap().architecture, 3, 0, &Device::flex());
    let optimizer = Optimizer::new(&OptimizerSettings { weight_decay: 0.5, ..Default::default() }, 0.1);
    for info in parameters::infos(&network) {
        let rate = optimizer.rate_of(&info, 1.0);
        assert_eq!(rate.lr, if info.key.starts_with("fc.") { 1.0 } else { 0.1 }, "{}", info.key);
        let matrix = info.key == "fc.weight" || info.key.contains("conv") || info.key.ends_with("downsample.0.weight");
        assert_eq!(rate.weight_decay, if matrix { 0.5 } else { 0.0 }, "{}", info.key);
    }
}

#[test]
fn the_state_survives_the_host() {
    let device = Device::flex();
    let network = Network::new(&kidu_core::model::find("resnet18").unwrap().architecture, 3, 0, &device);
    let ones = |n: usize| Tensor::<1>::ones([n], &device) * 0.3;
    let gradients = || Gradients::from([("fc.bias".to_string(), ones(3)), ("fc.weight".to_string(), ones(1536))]);
    let mut optimizer = Optimizer::new(&OptimizerSettings::default(), 1.0);
    let network = optimizer.step(network, gradients(), 0.1);
    let mut copy = Optimizer::new(&OptimizerSettings::default(), 1.0);
    copy.restore(&optimizer.state(), &device);
    assert_eq!(copy.state(), optimizer.state());
    let before = kidu_models::StateDict::of(&network);
    let a = kidu_models::StateDict::of(&optimizer.step(network, gradients(), 0.1));
    let fresh = Network::new(&kidu_core::model::find("resnet18").unwrap().architecture, 3, 0, &device);
    let b = kidu_models::StateDict::of(&copy.step(before.apply(fresh, "resnet18").unwrap(), gradients(), 0.1));
    assert_eq!(a, b);
    assert_ne!(a, before);
}

#[test]
fn clipping_keeps_the_direction_and_bounds_the_common_norm() {
    let device = Device::flex();
    let gradients = || {
        Gradients::from([
            ("a".to_string(), Tensor::<1>::from_floats([3.0, 0.0], &device)),
            ("b".to_string(), Tensor::<1>::from_floats([4.0], &device)),
        ])
    };
    let (clipped, norm) = clip_by_global_norm(gradients(), 1.0);
    assert_eq!(norm, 5.0);
    assert!((state_dict::to_host(clipped["b"].clone())[0] - 0.8).abs() < 1e-6);
    let (kept, _) = clip_by_global_norm(gradients(), 5.1);
    assert_eq!(state_dict::to_host(kept["a"].clone()), [3.0, 0.0]);
}
