"""The registry as a whole: what every entry must hold, whoever wrote it."""

import itertools

import sqlnode.functions.all  # noqa: F401 - fills the registry
from sqlnode.functions.registry import REGISTRY


def _functions():
    return list(itertools.chain(*REGISTRY.functions.values()))


def test_no_signature_twice():
    """If it fails, a call is ambiguous and PostgreSQL's resolution rules break down."""
    seen = [(f.name, f.arguments) for f in _functions()]
    assert len(seen) == len(set(seen))
    operators = [(o.symbol, o.left, o.right) for o in itertools.chain(*REGISTRY.operators.values())]
    assert len(operators) == len(set(operators))


def test_every_function_can_run():
    """If it fails, a statement binds and then crashes instead of running or being refused."""
    for function in _functions():
        assert function.python is not None or function.specialize is not None, function.name
        assert not (function.is_async and function.duck), function.name
        assert len(function.arguments) >= function.defaults, function.name


def test_templates_name_every_argument():
    """If it fails, vecexec drops an argument, or fails to format the call."""
    for function in _functions():
        if function.duck is not None:
            text = function.duck.format(*[f"<{i}>" for i in range(len(function.arguments))])
            for index in range(len(function.arguments)):
                assert f"<{index}>" in text, function.name


def test_comparisons_name_their_opposites():
    """If it fails, the planner turns NOT (a < b) into nothing it can look up."""
    for symbol in ("=", "<>", "<", "<=", ">", ">="):
        for operator in REGISTRY.operators[symbol]:
            if operator.negator is None:
                continue
            same = [
                other
                for other in REGISTRY.operators[operator.negator]
                if (other.left, other.right) == (operator.left, operator.right)
            ]
            assert same, (symbol, operator.left, operator.right)


def test_casts_take_and_give_their_types():
    """If it fails, an executor converts to something else than the binder promised."""
    for (source, target), rule in REGISTRY.casts.items():
        assert (rule.source.oid, rule.target.oid) == (source, target)
        if rule.function is not None:
            assert rule.function.arguments == (rule.source,)
            assert rule.function.result == rule.target
