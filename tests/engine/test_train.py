"""Training, against independent readings of the algorithm and problems with known answers."""

import math

import numpy as np
import pytest
import torch
from conftest import make_views
from torch import nn

from sknnens import EnsembleRepresentationLearner
from sknnens._engine import Precision, TrainConfig, init_networks, layer_sizes, train
from sknnens._engine._adam import FLUSH_STEPS
from sknnens._engine._loss import BatchLoss
from sknnens._views import Views, row_norms

CPU = torch.device("cpu")
DOUBLE = Precision(torch.float64)
N_STEPS = 20
TRAIN = {
    "view_weights": [1.0, 1.0, 1.0],
    "max_iter": N_STEPS,
    "warmup_epochs": N_STEPS // 2,
    "batch_size": 60,
    "learning_rate": 3e-3,
    "representation_learning_rate": 1e-2,
    "alpha": 0.0,
    "non_negative": False,
    "tol": None,
    "n_iter_no_change": 10,
    "precision": DOUBLE,
}


def as_views(arrays):
    return Views(list(arrays), [row_norms(x) for x in arrays])


def average(views):
    """Normalized mean of the normalized views."""
    total = sum(views.units())
    return total / np.linalg.norm(total, axis=1, keepdims=True)


def problem(n_layers=2, hidden_size=None, relu=True):
    """Three views of six columns, their average as start, and networks, in float64."""
    views = as_views(make_views(dtype=np.float64))
    networks = init_networks(
        layer_sizes(6, hidden_size, n_layers, [6, 6, 6]),
        [relu] * 3,
        generator=torch.Generator().manual_seed(0),
        dtype=torch.float64,
        device=CPU,
    )
    return views, torch.from_numpy(average(views)), networks


def run_train(views, bank, networks, on_epoch=lambda loss_curve: None, **options):
    config = TrainConfig(**{**TRAIN, **options})
    return train(views, bank, networks, config, torch.Generator(), on_epoch=on_epoch)


def plain_mlps(networks):
    """The same MLPs as torch modules."""
    mlps = []
    for weights, biases, relu in zip(
        networks.weights, networks.biases, networks.relu_output, strict=True
    ):
        layers = []
        for w, b in zip(weights, biases, strict=True):
            linear = nn.Linear(*w.shape, dtype=torch.float64)
            linear.weight.data, linear.bias.data = w.detach().T.clone(), b.detach().clone()
            layers += [linear, nn.ReLU()]
        mlps.append(nn.Sequential(*layers[: len(layers) if relu else -1]))
    return mlps


def plain_loss(mlps, reps, targets, weights=(1.0, 1.0, 1.0)):
    return sum(
        w * (1 - nn.functional.cosine_similarity(mlp(reps), target)).sum()
        for w, mlp, target in zip(weights, mlps, targets, strict=True)
    )


@pytest.mark.parametrize(
    ("shape", "options"),
    [
        ({}, {}),
        ({"n_layers": 1}, {"warmup_epochs": 0}),
        ({"n_layers": 4, "hidden_size": 9}, {"view_weights": [1.0, 0.25, 2.0]}),
        ({"relu": False}, {"alpha": 1e-2}),
    ],
)
def test_train_is_a_plain_reading_of_algorithm_1(shape, options):
    """Full batches: an nn.Parameter bank under torch.optim.Adam must agree step by step."""
    views, start, networks = problem(**shape)
    targets = [torch.from_numpy(unit) for unit in views.units()]
    given, options = options, {**TRAIN, **options}
    mlps = plain_mlps(networks)
    learned_train_reps = nn.Parameter(start.clone())
    weights = [p for mlp in mlps for p in mlp.parameters() if p.ndim == 2]
    parameters = [p for mlp in mlps for p in mlp.parameters()]
    mlp_adam = torch.optim.Adam(parameters, lr=options["learning_rate"])
    rep_adam = torch.optim.Adam([learned_train_reps], lr=options["representation_learning_rate"])
    curve = []
    for step in range(N_STEPS):
        loss = plain_loss(mlps, learned_train_reps, targets, options["view_weights"])
        curve.append(loss.item() / 60)
        penalty = 0.5 * options["alpha"] * sum(w.square().sum() for w in weights)
        mlp_adam.zero_grad()
        rep_adam.zero_grad()
        (loss + 60 * penalty).backward()
        mlp_adam.step()
        if step >= options["warmup_epochs"]:
            rep_adam.step()

    bank = start.clone()
    record = run_train(views, bank, networks, **given)
    assert (bank - start).abs().max() > 1e-2  # it did move
    torch.testing.assert_close(bank, learned_train_reps.detach(), atol=1e-6, rtol=0)
    np.testing.assert_allclose(record.loss_curve, curve, atol=1e-6)
    for mlp, weights, biases in zip(mlps, networks.weights, networks.biases, strict=True):
        linear = [layer for layer in mlp if isinstance(layer, nn.Linear)]
        torch.testing.assert_close(weights, [x.weight.data.T for x in linear], atol=1e-6, rtol=0)
        torch.testing.assert_close(biases, [x.bias.data for x in linear], atol=1e-6, rtol=0)


@pytest.mark.parametrize("relu", [False, True])
def test_gradients_against_finite_differences(relu):
    views, rows, networks = problem(relu=relu)
    grads = {}

    def keep(n_rows, layer, part, weight_grad, bias_grad):
        grads[layer, part] = weight_grad.clone()

    step = BatchLoss(networks, len(rows), [1, 2, 3], DOUBLE, keep)
    for mine, unit in zip(step.targets, views.units(), strict=True):
        mine[:] = torch.from_numpy(unit)
    for scale in step.scales:
        scale[:] = 1

    def total(rows):
        return step(rows, rows_move=True)[0].sum().item()

    _, row_grad = step(rows, rows_move=True)
    row_grad = row_grad.clone()
    network_grad = grads[0, 0][1]  # first layer, second view
    h = 1e-6
    moved = rows.clone()
    moved[4, 2] += h
    below = rows.clone()
    below[4, 2] -= h
    slope = (total(moved) - total(below)) / (2 * h)
    assert slope == pytest.approx(row_grad[4, 2].item(), abs=1e-6)

    parameter = networks.weights[1][0]
    difference = []
    for sign in (1, -1):
        with torch.no_grad():
            parameter[3, 1] += sign * h
        difference.append(total(rows))
        with torch.no_grad():
            parameter[3, 1] -= sign * h
    slope = (difference[0] - difference[1]) / (2 * h)
    assert slope == pytest.approx(network_grad[3, 1].item(), abs=1e-6)


def test_warmup_moves_only_the_networks():
    views, start, networks = problem()
    before = networks.weights[0][0].clone()
    bank = start.clone()
    run_train(views, bank, networks, max_iter=3, warmup_epochs=3)
    assert torch.equal(bank, start)
    assert not torch.equal(networks.weights[0][0], before)


def test_weights_that_training_has_made_tiny_become_zero():
    views, start, networks = problem()
    networks.weights[0][0][0, 0] = 1e-160  # its square is not a number of float64
    run_train(views, start, networks, max_iter=FLUSH_STEPS, learning_rate=1e-200)
    assert networks.weights[0][0][0, 0] == 0


def test_small_full_batch_steps_lower_the_loss_every_time():
    views, bank, networks = problem(relu=False)
    record = run_train(views, bank, networks, learning_rate=1e-4, representation_learning_rate=1e-4)
    assert np.all(np.diff(record.loss_curve) < 0)


def test_tol_stops_training_but_not_in_the_warmup():
    options = {"max_iter": 100, "warmup_epochs": 30, "tol": 10.0, "n_iter_no_change": 3}
    record = run_train(*problem(), **options)
    assert record.converged
    # the first epoch after the warm-up sets the mark; four more without progress are one too many
    assert len(record.loss_curve) == 30 + 1 + 4


def test_ctrl_c_ends_training_with_the_state_so_far():
    def interrupt(loss_curve):
        if len(loss_curve) == 3:
            raise KeyboardInterrupt

    record = run_train(*problem(), on_epoch=interrupt)
    assert record.interrupted
    assert len(record.loss_curve) == 3


@pytest.mark.parametrize("name", ["learning_rate", "representation_learning_rate"])
def test_divergence_is_an_error_that_names_the_step_size(name):
    with pytest.raises(ValueError, match=rf"no longer finite.*{name} \(now 1e\+300\)"):
        run_train(*problem(), **{name: 1e300, "warmup_epochs": 0})


def test_the_paper_s_finding_on_one_view():
    """Section 4.2: the loss of a single view falls further once its representations move."""
    view = make_views(400, (16,), non_negative=False)[0]
    losses = {}
    for name, warmup in [("frozen", 1.0), ("moving", 0.5)]:
        learner = EnsembleRepresentationLearner(
            init="average",
            max_iter=40,
            warmup=warmup,
            learning_rate=3e-3,
            representation_learning_rate=1e-2,
            random_state=0,
        )
        losses[name] = learner.fit(view).loss_
    assert losses["moving"] < 0.8 * losses["frozen"]


def test_the_published_weights_give_the_published_loss():
    """The fitted arrays, through a NumPy forward pass over the bank."""
    views = make_views(sizes=(6, 5), dtype=np.float64)
    model = EnsembleRepresentationLearner(
        n_layers=3,
        max_iter=5,
        learning_rate=1e-12,
        representation_learning_rate=1e-12,
        warm_start=True,
        random_state=0,
    ).fit(views)  # steps so small that the last epoch's loss is that of the end
    total = 0
    parts = zip(views, model.view_weights_, model.coefs_, model.intercepts_, strict=True)
    for view, view_weight, weights, biases in parts:
        x = model.embedding_
        for w, b in zip(weights, biases, strict=True):
            x = np.maximum(x @ w + b, 0)
        cosine = (x * view).sum(1) / np.linalg.norm(x, axis=1) / np.linalg.norm(view, axis=1)
        total += view_weight * (1 - cosine).mean()
    assert total == pytest.approx(model.loss_, abs=1e-6)


def test_initial_weights_follow_torch_s_linear_layers():
    networks = init_networks(
        [[400, 300, 5]],
        [True],
        generator=torch.Generator().manual_seed(0),
        dtype=torch.float64,
        device=CPU,
    )
    for tensor, n_in in [
        (networks.weights[0][0], 400),
        (networks.biases[0][0], 400),
        (networks.weights[0][1], 300),
    ]:
        bound = 1 / math.sqrt(n_in)
        assert tensor.abs().max() <= bound
        # a uniform variable on +-b has standard deviation b / sqrt(3); 300 draws give it to 10 %
        assert tensor.std().item() == pytest.approx(bound / math.sqrt(3), rel=0.1)
