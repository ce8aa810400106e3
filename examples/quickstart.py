"""Text from one model through three block servers, one of which dies on the way.

    python examples/quickstart.py MODEL.gguf

Every server is a process of its own; with other machines' addresses the client's lines stay the same.
"""
import signal
import subprocess
import sys
import time

import fallow

SPANS = ["0:10", "10:20", "20:30", "10:20"]  # the last is a replica of the second
PROMPT = "Write two sentences about the sea."


def serve(model, blocks):
    command = [sys.executable, "-m", "fallow", "serve", model, "--blocks", blocks,
               "--listen", "127.0.0.1:0", "--threads", "1"]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def generate(model, tokenizer, on_token):
    ids = tokenizer.apply_chat_template([{"role": "user", "content": PROMPT}],
                                        add_generation_prompt=True)
    began = time.monotonic()
    output = model.generate([ids], max_new_tokens=64, on_token=on_token)[0]
    answer = output[len(ids):]
    return tokenizer.decode(answer, skip_special_tokens=True), len(answer) / (time.monotonic() - began)


def main(path):
    servers = [serve(path, blocks) for blocks in SPANS]
    try:
        addresses = [server.stdout.readline().strip() for server in servers]
        processes = dict(zip(addresses, servers))
        print("servers:", *addresses, sep="\n  ")
        tokenizer = fallow.AutoTokenizer.from_pretrained(path)
        model = fallow.AutoDistributedModelForCausalLM.from_pretrained(path, peers=addresses)

        expected, speed = generate(model, tokenizer, None)
        print(f"\n{expected}\n\n{speed:.1f} tokens/s (with the first prompt) through:")
        for hop in model.route():
            print(f"  blocks {hop['begin']}:{hop['end']}  {hop['address']}  "
                  f"{hop['milliseconds_per_token']:.2f} ms a token")

        middle = model.route()[1]
        victim = processes[f"{middle['address']}#{middle['peer']}"]
        seen = 0

        def kill_at_twenty(token):
            nonlocal seen
            seen += 1
            if seen == 20:
                print(f"\nkilling {middle['address']}, process {victim.pid}, at token 20")
                victim.send_signal(signal.SIGKILL)

        text, speed = generate(model, tokenizer, kill_at_twenty)
        for recovery in model.recoveries():
            print(f"went on after {recovery['pause_seconds']:.2f} s without {recovery['blamed'][:8]}: "
                  f"{recovery['reason']}")
        print(f"\n{text}\n\n{speed:.1f} tokens/s through:")
        for hop in model.route():
            print(f"  blocks {hop['begin']}:{hop['end']}  {hop['address']}")
        same = text == expected and middle["peer"] not in [hop["peer"] for hop in model.route()]
        print("\nthe same text, without the dead server" if same else "\nTHE TEXTS DIFFER")
        return 0 if same else 1
    finally:
        for server in servers:
            server.terminate()
        for server in servers:
            server.wait(timeout=10)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
