"""Block servers and clients that reach them by gRPC on this machine."""

import threading

import fallow
import pytest

from conftest import LLAMA

PROMPT = [20, 21, 22, 23, 24]
SMALL = dict(threads=1, kv_memory=64 << 20)
OPTIONS = dict(max_new_tokens=16, ignore_end_tokens=True)


def connect(addresses, **options):
    return fallow.AutoDistributedModelForCausalLM.from_pretrained(
        LLAMA, peers=addresses, **options)


@pytest.mark.parametrize("end_mode", ["ring", "private"])
def test_servers_give_the_tokens_of_one_process(model, servers, end_mode):
    with connect(servers) as client:
        output = client.generate(PROMPT, end_mode=end_mode, **OPTIONS)
        assert output == model.generate(PROMPT, **OPTIONS)
        hops = [(hop["begin"], hop["end"], f"{hop['address']}#{hop['peer']}")
                for hop in client.route()]
        assert hops == [(0, 3, servers[0]), (3, 6, servers[1])]
        assert client.numeric_class() == "fp32"


def test_sessions_and_logits_work_through_servers(model, servers, expected):
    with connect(servers) as client, client.inference_session() as session:
        session.generate(PROMPT, **OPTIONS)
        with session.fork() as fork:
            session.generate([30, 31], **OPTIONS)
            fork.generate([30, 31], **OPTIONS)
            assert fork.tokens == session.tokens
        assert abs(client(PROMPT).logits - model(PROMPT).logits).max() < 1e-4


def test_server_tells_what_it_is():
    with fallow.BlockServer(
        LLAMA, blocks=(1, 3), listen="127.0.0.1:0", numeric_class="fp32", **SMALL
    ) as server:
        host_port, peer = server.address.split("#")
        assert host_port.startswith("127.0.0.1:") and peer == server.peer and len(peer) == 64
        assert server.blocks == (1, 3)
        assert server.numeric_class == "fp32"
        assert server.spec.num_blocks == 6
        stats = server.stats()
        assert stats["sessions"] == 0 and stats["weight_bytes"] > 0
        assert stats["kv_tokens_capacity"] > 0


def test_waiting_ends_with_stop_or_time():
    server = fallow.BlockServer(LLAMA, blocks="0:1", listen="127.0.0.1:0", **SMALL)
    assert not server.wait(timeout=0.2)
    threading.Timer(0.2, server.stop).start()
    assert server.wait(timeout=20)
    server.close()  # again


def test_identity_file_keeps_the_peer(tmp_path):
    file = str(tmp_path / "key")
    peers = []
    for identity in (file, file, ""):
        with fallow.BlockServer(
            LLAMA, blocks="0:1", listen="127.0.0.1:0", identity=identity, **SMALL
        ) as server:
            peers.append(server.peer)
    assert peers[0] == peers[1] != peers[2]


def test_insecure_needs_both_sides(model):
    with fallow.BlockServer(
        LLAMA, listen="127.0.0.1:0", insecure=True, numeric_class="fp32", **SMALL
    ) as server:
        with connect([server.address], insecure=True) as client:
            assert client.generate(PROMPT, **OPTIONS) == model.generate(PROMPT, **OPTIONS)
        with connect([server.address], connect_timeout=1.0) as client:
            with pytest.raises((fallow.PeerUnavailable, TimeoutError)):
                client.generate(PROMPT, **OPTIONS)


def test_blocks_that_nobody_serves_are_named(servers):
    with connect(servers[:1]) as client:
        with pytest.raises(fallow.PeerUnavailable, match=r"3"):
            client.generate(PROMPT)


def test_address_in_use_is_peer_unavailable(servers):
    taken = servers[0].split("#")[0]
    with pytest.raises(fallow.PeerUnavailable, match=taken.split(":")[1]):
        fallow.BlockServer(LLAMA, blocks="0:1", listen=taken, **SMALL)


@pytest.mark.parametrize(
    "options, error",
    [
        (dict(blocks="0:99"), ValueError),
        (dict(blocks="5"), ValueError),
        (dict(listen="nowhere"), ValueError),
        (dict(numeric_class="martian"), ValueError),
        (dict(threads="two"), TypeError),
    ],
)
def test_bad_options_are_refused(options, error):
    with pytest.raises(error):
        fallow.BlockServer(LLAMA, **{"listen": "127.0.0.1:0", **options})


def test_generation_goes_on_when_a_server_stops(model, servers):
    """The Python side of a recovery: the tokens stay, and recoveries() tells."""
    spare = fallow.BlockServer(LLAMA, blocks="3:6", listen="127.0.0.1:0", numeric_class="fp32",
                               **SMALL)
    doomed = fallow.BlockServer(LLAMA, blocks="3:6", listen="127.0.0.1:0", numeric_class="fp32",
                                **SMALL)
    expected = model.generate(PROMPT, max_new_tokens=48, ignore_end_tokens=True)
    with connect([servers[0], doomed.address]) as client:
        assert client.generate(PROMPT, max_new_tokens=48, ignore_end_tokens=True) == expected
    with connect([servers[0], doomed.address, spare.address]) as client:
        client.generate(PROMPT, max_new_tokens=1)
        chosen = {doomed.peer: doomed, spare.peer: spare}[client.route()[1]["peer"]]
        seen = []

        def stop_at_ten(token):
            seen.append(token)
            if len(seen) == 10:
                threading.Thread(target=chosen.stop, args=[0.0]).start()

        output = client.generate(
            PROMPT, max_new_tokens=400, ignore_end_tokens=True, on_token=stop_at_ten)
        assert output[: len(expected)] == expected
        assert client.route()[1]["peer"] != chosen.peer
        (recovery,) = client.recoveries()
        assert recovery["blamed"] == chosen.peer
        assert recovery["reason"] and recovery["pause_seconds"] >= 0
    for server in (spare, doomed):
        server.close()
