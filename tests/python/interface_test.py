"""The Python interface against the C++ one: names, defaults, stubs, and the cost of importing."""

import ast
import inspect
import re

import fallow
import pytest
from fallow import _cli_options, _core, _generation_options, _server

from conftest import ROOT, run_python

HEADERS = ROOT / "library" / "include" / "fallow"
MODULE = ROOT / "bindings" / "python" / "fallow"
HOOKS = {"gate", "payer"}  # C++ objects
FIELD = re.compile(r"^\s+[\w:<>, ]+[ >](\w+)(?:\{\}| =[^;]*)?;", re.MULTILINE)


def struct_fields(header, struct):
    """Names of the fields of `struct`, from the text of the header."""
    text = re.sub(r"//.*", "", (HEADERS / header).read_text())
    body = text[text.index(f"struct {struct} {{") :]
    return set(FIELD.findall(body[: re.search(r"\n *};", body).start()]))


@pytest.mark.parametrize(
    "header, struct, defaults",
    [
        ("block_server.h", "Options", _core.server_defaults()),
        ("distributed_model.h", "Options", _core.model_defaults()),
        ("profile.h", "ProfileOptions", _core.profile_defaults()),
    ],
)
def test_bound_options_are_those_of_the_header(header, struct, defaults):
    fields = struct_fields(header, struct)
    assert len(fields) > 5
    assert fields - HOOKS == set(defaults)


def test_bound_generation_options_are_those_of_the_headers():
    fields = struct_fields("session.h", "GenerateOptions") - {"sampling"}
    fields |= struct_fields("sampling.h", "SamplingOptions")
    assert fields == set(_core.generate_defaults())


@pytest.mark.parametrize(
    "function, defaults, differs",
    [
        (fallow.BlockServer.__init__, _core.server_defaults(), {"checkpoint", "blocks"}),
        (
            fallow.AutoDistributedModelForCausalLM.from_pretrained,
            _core.model_defaults(),
            {"checkpoint", "peers"},
        ),
        (fallow.profile, _core.profile_defaults(), {"checkpoint", "blocks"}),
    ],
)
def test_keywords_have_the_names_and_defaults_of_the_structs(function, defaults, differs):
    parameters = dict(inspect.signature(function).parameters)
    parameters.pop("self", None)
    assert parameters.pop("revision").default is None  # of hub ids, which C++ does not know
    assert set(parameters) == set(defaults)
    for name in set(defaults) - differs:
        assert parameters[name].default == defaults[name], name
    empty = (inspect.Parameter.empty, None, ())
    assert all(parameters[name].default in empty for name in differs)


def test_generation_keywords_are_those_of_the_struct_and_hugging_face_s():
    renamed = {"bad_words": "bad_words_ids", "stop_tokens": "eos_token_id"}
    bound = {renamed.get(name, name) for name in _core.generate_defaults()}
    of_python_only = {"max_length", "pad_token_id", "stop_strings", "num_return_sequences"}
    assert _generation_options.SUPPORTED == bound | of_python_only


@pytest.mark.parametrize(
    "command, names",
    [
        (_cli_options.server_options, set(_core.server_defaults())),
        (_cli_options.model_options, set(_core.model_defaults()) | set(_core.generate_defaults())),
        (_cli_options.profile_options, set(_core.profile_defaults())),
    ],
)
def test_command_line_has_the_same_options(command, names):
    def nothing(**options):
        """No options of its own."""

    given = {name: p.default for name, p in inspect.signature(command(nothing)).parameters.items()}
    given.pop("revision")
    not_there = {"checkpoint", "stop_tokens", "bad_words"}  # an argument; lists
    assert set(given) == names - not_there
    defaults = {
        **_core.server_defaults(),
        **_core.model_defaults(),
        **_core.profile_defaults(),
    }
    for name in set(given) & set(defaults) - {"blocks", "peers"}:
        assert given[name] == defaults[name], name


def test_wrong_names_and_types_are_refused():
    with pytest.raises(TypeError, match="martian"):
        fallow.BlockServer("x", martian=1)
    with pytest.raises(TypeError, match="no option martian"):
        _core.Server({"martian": 1})
    with pytest.raises(TypeError, match="threads = 'two'"):
        _core.Server({"threads": "two"})
    with pytest.raises(TypeError, match=f"threads = {2**40}"):
        _core.Server({"threads": 2**40})


@pytest.mark.parametrize(
    "blocks, expected",
    [(None, None), ("", None), ("0:10", (0, 10)), ((3, 6), (3, 6)), ([3, 6], (3, 6))],
)
def test_blocks_are_begin_and_end(blocks, expected):
    assert _server.parse_blocks(blocks) == expected


@pytest.mark.parametrize("blocks", ["3", "3:", "a:b", "6:3", "3:3", "-1:3", (1, 2, 3), 5])
def test_blocks_that_are_no_range_are_refused(blocks):
    with pytest.raises(ValueError, match="blocks = "):
        _server.parse_blocks(blocks)


def test_stub_names_what_the_module_has():
    tree = ast.parse((MODULE / "_core.pyi").read_text())
    stubs = {}
    for node in tree.body:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            stubs[node.name] = node
        elif isinstance(node, ast.AnnAssign):
            stubs[node.target.id] = node
    module = {name for name in dir(_core) if not name.startswith("_") or name == "__version__"}
    assert set(stubs) == module
    for name, node in stubs.items():
        if isinstance(node, ast.ClassDef) and not issubclass(getattr(_core, name), Exception):
            methods = {method.name for method in node.body} - {"__init__"}
            assert methods == {m for m in dir(getattr(_core, name)) if not m.startswith("_")}, name


def test_exceptions_are_a_family():
    for name in ("PeerUnavailable", "Halted", "CheckpointError", "Unsupported"):
        error = getattr(fallow, name)
        assert issubclass(error, fallow.Error) and error.__module__ == "fallow" and error.__doc__


def test_all_that_is_public_has_a_docstring():
    for name in fallow.__all__:
        thing = getattr(fallow, name)
        if not callable(thing):
            continue
        assert inspect.getdoc(thing), name
        for method, function in vars(thing).items() if inspect.isclass(thing) else ():
            if not method.startswith("_") and inspect.isfunction(function):
                assert method in ("end", "on_finalized_text") or inspect.getdoc(function) or (
                    method.startswith("convert_")), f"{name}.{method}"


def test_importing_brings_nothing_heavy():
    code = """
import sys
import fallow
heavy = "numpy torch tokenizers jinja2 huggingface_hub typer rich".split()
print([name for name in heavy if name in sys.modules])
"""
    assert run_python(code).stdout == "[]\n"


def test_generating_with_lists_needs_neither_numpy_nor_torch():
    code = """
import sys, fallow
model = fallow.AutoDistributedModelForCausalLM.from_pretrained(sys.argv[1], threads=1)
print(len(model.generate([3, 4, 5], max_new_tokens=2)))
print([name for name in ("numpy", "torch") if name in sys.modules])
"""
    result = run_python(code, str(ROOT / "tests" / "golden" / "llama"))
    assert result.stdout.split("\n")[:2] == ["5", "[]"], result.stderr
