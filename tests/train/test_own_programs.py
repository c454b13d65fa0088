"""Nets and optimizers in programs of one's own: a GAN's step, Q-learning, shared weights, states, messages."""

import numpy as np
import pytest
from tools import distinct

import pellucid as pel
from pellucid import ArgumentError, GraphError, nn, ops, optim, schedules
from pellucid.executors import EXECUTORS, get

each_executor = pytest.mark.parametrize("executor", EXECUTORS)


def first_weights(executor, *nets, key=(0, 1)):
    parameters = {name: p for net in nets for name, p in net.parameters.items()}
    return get(executor).compile(nn.init_program(parameters))({}, {"key": key})


# ---- a GAN ------------------------------------------------------------------------------------------------------


def gan():
    """Both steps in one program: the critic tells real numbers from made ones, the generator makes them."""
    generator = nn.Net(nn.Sequential(nn.Dense(16), nn.relu, nn.Dense(1)), "generator")
    critic = nn.Net(nn.Sequential(nn.Dense(16), nn.relu, nn.Dense(1)), "critic")
    real, noise = pel.input("real", (1,)), pel.input("noise", (1,))
    fake = generator(noise)
    yes, no = critic(real), critic(fake)
    of_critic = pel.batch_mean(ops.sum(nn.softplus(-yes) + nn.softplus(no)))
    of_generator = pel.batch_mean(ops.sum(nn.softplus(-no)))
    adam = optim.Adam(0.005, beta_1=0.5)
    updates = optim.descend(of_critic, critic, adam, name="critic_adam")
    updates |= optim.descend(of_generator, generator, adam, name="generator_adam")
    step = pel.Program([real, noise], {"critic": of_critic, "generator": of_generator}, updates)
    first = adam.init(critic, name="critic_adam") | adam.init(generator, name="generator_adam")
    return generator, critic, step, first, pel.Program([noise], {"fake": fake})


def train_gan(executor, steps):
    generator, critic, step, first, make = gan()
    memory = first_weights(executor, generator, critic) | first
    run, random = get(executor).compile(step), np.random.default_rng(0)
    for _ in range(steps):
        run(memory, {"real": random.normal(3, 0.5, (64, 1)), "noise": random.normal(size=(64, 1))})
    return memory, get(executor).compile(make)(memory, {"noise": random.normal(size=(1000, 1))})["fake"]


def test_a_gan_learns():
    _, made = train_gan("native", 1000)
    assert abs(made.mean() - 3) < 0.4 and 0.2 < made.std() < 1.2


def test_the_gans_step_is_the_same_on_each_executor():
    memories = [train_gan(executor, 20)[0] for executor in EXECUTORS]
    for memory in memories[1:]:
        assert memory.keys() == memories[0].keys()
        for name, a in memory.items():
            np.testing.assert_allclose(a, memories[0][name], rtol=1e-3, atol=1e-5, err_msg=name)


def test_each_half_moves_its_own_net_alone():
    generator, critic, step, first, _ = gan()
    moved = {v.name for v in step.updates if not v.name.startswith(("critic_adam", "generator_adam"))}
    assert moved == {*generator.parameters, *critic.parameters}
    assert {name.split(".")[0] for name in first} == {"critic_adam", "generator_adam"}
    assert set(step.state) == {*moved, *first}


# ---- Q-learning -------------------------------------------------------------------------------------------------

PLACES, GAMMA = 5, 0.8


def q_learning(executor):
    """Q(s, a) -> r + gamma max_a Q_target(s', a), on a corridor with a prize at its right end.

    Every 20 steps the target network is what the net is then.
    """
    layers = nn.Sequential(nn.Dense(2))  # of one-hot places: a table, whose values are known
    online, target = nn.Net(layers, "online", dtype="float64"), nn.Net(layers, "target", dtype="float64")
    here, there = (pel.input(name, (PLACES,), "float64") for name in ("here", "there"))
    action, reward, ended = (pel.input(name, (), "float64") for name in ("action", "reward", "ended"))
    value = ops.sum(online(here) * ops.one_hot(ops.cast(action, "int32"), 2, here))
    goal = reward + GAMMA * (1 - ended) * ops.max(target(there))
    cost = pel.batch_mean((value - ops.stop_gradient(goal)) ** 2)
    sgd = optim.SGD(1.0)
    step = pel.Program([here, there, action, reward, ended], {"cost": cost}, optim.descend(cost, online, sgd))
    memory = first_weights(executor, online, target) | sgd.init(online)
    run, copy = (get(executor).compile(p) for p in (step, pel.Program([], {}, target.follow(online))))
    random, eye = np.random.default_rng(0), np.eye(PLACES)
    for i in range(600):
        if i % 20 == 0:
            copy(memory)
        s, a = random.integers(PLACES - 1, size=64), random.integers(2, size=64)
        after = np.clip(s + 2 * a - 1, 0, PLACES - 1)
        won = (after == PLACES - 1).astype(float)
        run(memory, {"here": eye[s], "there": eye[after], "action": a.astype(float), "reward": won, "ended": won})
    look = get(executor).compile(pel.Program([here], {"q": online(here)}))
    return look(memory, {"here": eye[: PLACES - 1]})["q"]


@each_executor
def test_q_learning_with_a_target_network_finds_the_values(executor):
    """To the right from place s the prize is 4 - s steps away: gamma^(3 - s); to the left one step back comes first."""
    right = GAMMA ** np.arange(PLACES - 2, -1, -1.0)
    left = GAMMA * right[[0, 0, 1, 2]]
    np.testing.assert_allclose(q_learning(executor), np.stack([left, right], 1), atol=0.01)


# ---- nets -------------------------------------------------------------------------------------------------------


def test_names_are_those_of_the_structure_wherever_it_is_called():
    layers = nn.Sequential(nn.Dense(3), nn.tanh, nn.Dense(2, name="out"))
    net, other = nn.Net(layers, "a"), nn.Net(layers, "b")
    held = nn.Dense(4)
    outer = nn.Net(lambda x: ops.sum(held(x)), "c")
    x = pel.input("x", (5,))
    outputs = [net(x), net(x * 2), other(x), outer(x), outer(x * 2)]
    names = ["layers.0.weight", "layers.0.bias", "layers.out.weight", "layers.out.bias"]
    assert list(net.parameters) == [f"a.{n}" for n in names] and list(other.parameters) == [f"b.{n}" for n in names]
    assert list(outer.parameters) == ["c.dense.weight", "c.dense.bias"]
    program = pel.Program([x], {str(i): y for i, y in enumerate(outputs)})
    assert set(program.state) == {*net.parameters, *other.parameters, *outer.parameters}
    assert list(nn.Net(layers).parameters) == [] and repr(net) == "<Net 'a': 4 parameters>"


@each_executor
def test_two_calls_share_the_weights_and_both_train_them(executor):
    """One encoder, two costs: its gradient is the sum of both."""
    encoder, head = (
        nn.Net(nn.Dense(2, bias=False), "encoder", dtype="float64"),
        nn.Net(nn.Dense(1), "head", dtype="float64"),
    )
    a, b = pel.input("a", (3,), "float64"), pel.input("b", (3,), "float64")
    cost = pel.batch_mean(ops.sum((encoder(a) - encoder(b)) ** 2) + ops.sum(head(encoder(a)) ** 2))
    sgd = optim.SGD(0.1)
    memory = first_weights(executor, encoder, head) | sgd.init([encoder, head])
    before = {name: np.array(w) for name, w in memory.items()}
    w = encoder.parameters["encoder.weight"].value
    slope = pel.grad(cost, w)
    step = pel.Program([a, b], {"slope": slope}, optim.descend(cost, [encoder, head], sgd))
    found = get(executor).compile(step)(memory, {"a": distinct((4, 3)), "b": distinct((4, 3), 1)})
    np.testing.assert_allclose(memory["encoder.weight"], before["encoder.weight"] - 0.1 * found["slope"], rtol=1e-12)
    assert (memory["head.weight"] != before["head.weight"]).all()


@each_executor
def test_states_in_a_program_of_ones_own(executor):
    """Batch normalization follows its batches, dropout draws anew, penalties count: as in a `Model`."""
    layers = nn.Sequential(nn.Regularized(nn.Dense(3), weights=nn.L2(0.1)), nn.BatchNorm(), nn.Dropout(0.5))
    net = nn.Net(layers, "net")
    x = pel.input("x", (4,))
    y, kept = net(x, training=True), net(x)
    cost = pel.batch_mean(ops.sum(y * y)) + net.added()
    updates = optim.descend(cost, net, optim.SGD(0.1)) | net.updates()
    step, look = pel.Program([x], {"y": y, "cost": cost}, updates), pel.Program([x], {"kept": kept})
    memory = first_weights(executor, net) | optim.SGD(0.1).init(net)
    assert set(step.state) == set(memory) and set(look.state) < set(memory)
    run, given = get(executor).compile(step), distinct((8, 4), dtype="float32")
    first = run(memory, {"x": given})["y"]
    mean = memory["net.layers.1.moving_mean"].copy()
    second = run(memory, {"x": given})["y"]
    assert mean.any() and (memory["net.layers.1.moving_mean"] != mean).any()
    assert ((first == 0) != (second == 0)).any()
    get(executor).compile(look)(memory, {"x": given})
    assert net.updates() == {} and net.added() == 0  # asked for once
    net(x)
    assert net.updates() == {}  # outside training nothing is drawn
    net(x, training=True)
    assert net._scope.key in net.updates()


def test_updates_belong_to_the_calls_since_they_were_asked_for():
    net = nn.Net(nn.BatchNorm(), "net")
    a, b = pel.input("a", (2,)), pel.input("b", (2,))
    net(a, training=True)
    first = pel.Program([a], {}, net.updates())
    net(b, training=True)
    second = pel.Program([b], {}, net.updates())  # and needs no input of the first
    assert set(first.state) == set(second.state) == {"net.moving_mean", "net.moving_variance"}


def test_a_target_network_follows():
    layers = nn.Sequential(nn.Dense(2), nn.BatchNorm())
    online, target = nn.Net(layers, "online"), nn.Net(layers, "target")
    x = pel.input("x", (3,))
    online(x), target(x)
    memory = first_weights("reference", online, target)
    before = memory["target.layers.0.weight"].copy()
    get("reference").compile(pel.Program([], {}, target.follow(online, 0.25)))(memory)
    expected = 0.75 * before + 0.25 * memory["online.layers.0.weight"]
    np.testing.assert_allclose(memory["target.layers.0.weight"], expected, rtol=1e-6)
    get("reference").compile(pel.Program([], {}, target.follow(online)))(memory)
    assert (memory["target.layers.0.weight"] == memory["online.layers.0.weight"]).all()


def test_frozen_layers_and_constraints():
    net = nn.Net(
        nn.Sequential(nn.Dense(2, trainable=False), nn.Regularized(nn.Dense(1), constraint=nn.NonNeg())), "net"
    )
    x = pel.input("x", (3,))
    cost = pel.batch_mean(ops.sum(net(x)))
    sgd = optim.SGD(10.0)
    updates = optim.descend(cost, net, sgd)
    assert {v.name for v in updates if v.name.startswith("net")} == {"net.layers.1.weight", "net.layers.1.bias"}
    memory = first_weights("reference", net) | sgd.init(net)
    get("reference").compile(pel.Program([x], {}, updates))(memory, {"x": distinct((4, 3), dtype="float32")})
    assert (memory["net.layers.1.weight"] >= 0).all()


# ---- optimizers -------------------------------------------------------------------------------------------------

ALL = {
    "sgd": optim.SGD(0.1, momentum=0.9, nesterov=True),
    "adam": optim.Adam(0.05, global_clipnorm=1.0),
    "adamw": optim.AdamW(0.05),
    "nadam": optim.Nadam(0.05),
    "lion": optim.Lion(0.05),
    "adadelta": optim.Adadelta(1.0),
    "rmsprop": optim.RMSprop(0.05, centered=True, momentum=0.5),
    "a schedule of steps": optim.SGD(schedules.Exponential(0.1, steps=3)),
    "a schedule of epochs": optim.SGD(schedules.Step(0.1, epochs=2), momentum=optim.lecture_momentum(2)),
    "accumulated": optim.Adam(0.05, gradient_accumulation_steps=2),
    "averaged": optim.Adam(0.05, use_ema=True, ema_momentum=0.5),
}


@pytest.mark.parametrize("name", ALL)
def test_it_is_what_fit_does(name):
    """Each step of a program of one's own is the step that `Model.fit` takes, an epoch of two steps after the other."""
    rule, layers = ALL[name], nn.Sequential(nn.Dense(3), nn.tanh, nn.Dense(1))
    xs, ys = distinct((8, 2)), distinct((8, 1), 1)
    model = pel.Model(layers, "mse", rule, dtype="float64", seed=1, input_shape=(2,))
    net = nn.Net(layers, "net", dtype="float64")
    x, t = pel.input("x", (2,), "float64"), pel.input("t", (1,), "float64")
    cost = pel.batch_mean(ops.mean((net(x) - t) ** 2))
    step = pel.Program([x, t], {"cost": cost}, optim.descend(cost, net, rule, name="mine"))
    memory = {f"net.{k}": np.array(w) for k, w in model.parameters.items()}
    memory |= rule.init(net, name="mine", steps_per_epoch=2)
    assert set(memory) == set(step.state)
    model.fit(xs, ys, epochs=4, batch_size=4, shuffle=False, verbose=0)
    run = get("native").compile(step)
    for _ in range(4):
        for rows in (slice(0, 4), slice(4, 8)):
            run(memory, {"x": xs[rows], "t": ys[rows]})
    shown = (lambda k: f"mine.average.net.{k}") if rule.use_ema else (lambda k: f"net.{k}")
    for k, w in model.parameters.items():
        np.testing.assert_allclose(memory[shown(k)], w, rtol=1e-9, atol=1e-12, err_msg=k)


# ---- what is refused --------------------------------------------------------------------------------------------


def test_messages():
    w, x = pel.state("w", (2,)), pel.input("x", (2,))
    cost = pel.batch_mean(ops.sum(w * x))
    net, fresh = nn.Net(nn.Dense(1), "net"), nn.Net(nn.Dense(1), "fresh")
    net(x)
    for wrong, message in [
        (lambda: optim.descend(cost, w, optim.LBFGS()), "LBFGS looks for the length.*use another optimizer"),
        (lambda: optim.descend(cost, x, "sgd"), "only state can be trained, not <sample_input 'x'"),
        (lambda: optim.descend(cost, [], "sgd"), "nothing to train: the list is empty"),
        (lambda: optim.descend(cost, "w", "sgd"), "wrt must be a state, an nn.Net, its parameters.*, got 'w'"),
        (lambda: optim.descend(cost, fresh, "sgd"), "<Net 'fresh': 0 parameters> has nothing to train; call"),
        (lambda: optim.descend(ops.sum(w * x), w, "sgd"), "the cost must be one shared number.*batch_mean"),
        (lambda: optim.descend(cost, w, "sgd", name=""), "descend: name must be text, such as 'critic_adam', got ''"),
        (lambda: optim.SGD().init(w, name=3), "descend: name must be text"),
        (lambda: net(np.ones((3, 2))), "takes Values, such as .* gives, got ndarray; to compute with arrays"),
        (lambda: optim.descend(3.0, w, "sgd"), "the cost must be a Value"),
        (lambda: optim.SGD().init(w, steps_per_epoch=0), "SGD: steps_per_epoch must be a whole number >= 1, got 0"),
        (lambda: nn.Net(nn.Dense, "net"), "Net: net must be a layer or a function.*did you forget its parentheses"),
        (lambda: nn.Net(nn.Dense(1), 3), "Net: name must be text, got 3"),
        (lambda: net.follow(fresh), "follow: <Net 'fresh': 0 parameters> has not been called yet"),
        (lambda: net.follow(net, 2), r"follow: rate must be a number in \[0, 1\], got 2"),
        (lambda: pel.Model(lambda v: net(v), "mse").fit(distinct((4, 2)), distinct((4, 1)), verbose=0),
         "is called within a net that is traced; nn.Net is for programs of your own"),
        (lambda: pel.Program([x], {"a": net(x), "b": nn.Net(nn.Dense(1), "net")(x)}),
         "two different state Values are named 'net.weight'; nets and optimizers of one program need names"),
        (lambda: pel.Program([x], {}, optim.descend(cost, w, "adam") | optim.descend(cost, net, "adam")),
         "two different state Values are named 'optimizer.step'"),
    ]:  # fmt: skip
        with pytest.raises((ArgumentError, GraphError), match=message):
            wrong()
