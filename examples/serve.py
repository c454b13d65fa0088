"""A model behind HTTP, with the standard library alone: python examples/serve.py MODEL.pel [--port 8000]

    curl localhost:8000/health
    curl localhost:8000/predict -d '{"rows": [[0.1, 0.2], [0.3, 0.4]]}'

``rows`` are samples as ``model.predict`` takes them; for a model of a table (``pellucid train table.csv``), objects by
the names of its columns, null where an entry is missing; for a model of a series (``--forecast``), windows: the last
values before what is to be forecast, the oldest first. The answer has ``predictions``, and of classes that have names
``classes`` and ``names``. What cannot be predicted is answered by 400 and Pellucid's own sentence. SIGTERM and Ctrl-C
end the server when the requests that have arrived are answered. It is as safe as http.server, which is for trusted
networks: put a proxy in front of it.
"""

from __future__ import annotations

import argparse
import json
import signal
import socket
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import numpy as np

import pellucid as pel

MOST_BYTES = 16 << 20  # of a request
PATIENCE = 30.0  # seconds that a client may be silent


class Bad(Exception):
    """A request that cannot be answered: the status, and why."""


class Predictor:
    """A model, and what its rows are made of."""

    def __init__(self, path: str) -> None:
        self.model = pel.load(path)
        self.names = self.model.notes.get("class_names") or []
        self.table = None
        if self.model.notes.get("kind") == "table":
            self.table, self.target = pel.tabular.restore(self.model)
        self.series = pel.sklearn.restore(self.model) if self.model.notes.get("kind") == "series" else None
        self.model.warm()  # now, and not at the first request

    def __call__(self, rows: Any) -> dict[str, Any]:
        """The answer to some rows. Raises `DataError` or `GraphError` for what does not fit the model."""
        if self.series:
            return {"predictions": self.series.predict(self.windows(rows)).tolist()}
        found = self.model.predict(self.features(rows) if self.table else rows)
        if self.table and not self.names:
            return {"predictions": self.target.decode(found).tolist()}
        answer = {"predictions": found.tolist()}
        if self.names and found.ndim == 2:  # one column is the probability of the second class
            best = found[:, 0] > 0.5 if found.shape[1] == 1 else found.argmax(axis=1)
            answer |= {"classes": [self.names[int(i)] for i in best], "names": self.names}
        return answer

    def takes(self) -> dict[str, Any]:
        """What a row is made of."""
        if self.table:
            return {"columns": list(self.table.columns.names)}
        if self.series:
            return {"window": self.series.window, "horizon": self.series.horizon}
        specs = self.model.specs
        return {"inputs": {name: {"shape": list(s.shape), "dtype": s.dtype} for name, s in specs.items()}}

    def windows(self, rows: Any) -> np.ndarray:
        """Past values, (n, window)."""
        width = self.series.window
        if not all(isinstance(row, list) and len(row) == width for row in rows):
            raise Bad(400, f"this is a model of a series: each row is the last {width} values, the oldest first")
        if not all(isinstance(value, (int, float)) and np.isfinite(value) for row in rows for value in row):
            raise Bad(400, "the values of a window must be finite numbers")
        return np.array(rows, np.float64)

    def features(self, rows: Any) -> np.ndarray:
        """Objects of a table's columns as the net's inputs."""
        if not all(isinstance(row, dict) for row in rows):
            raise Bad(400, "this is a model of a table: each row is an object by the names of its columns")
        names = list(self.table.columns.names)
        if lacking := [name for name in names if not any(name in row for row in rows)]:
            raise Bad(400, f"no row has the column {lacking[0]!r}; the model needs {', '.join(names)}")
        entries = np.array([[row.get(name) for name in names] for row in rows], object)
        return self.table.transform(pel.data.as_table(entries, names)).astype(self.model.dtype)


class Handler(BaseHTTPRequestHandler):
    """One connection, which may ask several times."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # headers and body are two writes: the second would wait for the first's receipt
    timeout = PATIENCE
    server: Server

    def do_GET(self) -> None:
        if self.path == "/health":
            self.answer(200, {"status": "ok", "pellucid": pel.__version__} | self.server.predictor.takes())
        else:
            self.answer(404, {"error": "there are GET /health and POST /predict"})

    def do_POST(self) -> None:
        try:
            if self.path != "/predict":
                self.close_connection = True  # the request's body stays unread
                raise Bad(404, "there are GET /health and POST /predict")
            self.answer(200, self.server.predictor(self.rows()))
        except Bad as error:
            self.answer(error.args[0], {"error": error.args[1]})
        except (pel.DataError, pel.GraphError, OverflowError) as error:
            self.answer(400, {"error": str(error)})

    def rows(self) -> Any:
        """The rows of the request's body."""
        length = self.headers.get("Content-Length", "")
        if not length.isdecimal() or int(length) > MOST_BYTES:
            self.close_connection = True
        if not length.isdecimal():
            raise Bad(411, "the request has no Content-Length")
        if int(length) > MOST_BYTES:
            raise Bad(413, f"the request has {length} bytes; {MOST_BYTES} are the most")
        try:
            asked = json.loads(self.rfile.read(int(length)))
        except (ValueError, RecursionError) as error:
            raise Bad(400, f"the request is not JSON: {error}") from None
        rows = asked.get("rows") if isinstance(asked, dict) else None
        if not isinstance(rows, (list, dict)) or not rows:
            raise Bad(400, 'the request must be {"rows": [...]}, with one row or more')
        return rows

    def answer(self, status: int, content: dict[str, Any]) -> None:
        body = json.dumps(content).encode()
        if self.server.stopping:
            self.close_connection = True
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        self.close_connection = True
        self.answer(code, {"error": message or self.responses.get(code, ("not understood",))[0]})

    def log_message(self, format: str, *args: Any) -> None:
        pass  # a line for each request takes its time; a proxy keeps such a log


class Server(ThreadingHTTPServer):
    """A thread for each connection; `stop` lets them end what they are at."""

    daemon_threads = False
    request_queue_size = 128

    def __init__(self, address: tuple[str, int], predictor: Predictor) -> None:
        super().__init__(address, Handler)
        self.predictor, self.stopping = predictor, False
        self.open: set[socket.socket] = set()

    def process_request(self, request: Any, client_address: Any) -> None:
        self.open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        self.open.discard(request)
        super().shutdown_request(request)

    def stop(self) -> None:
        """Take no more connections; those that wait for a request end now, the others when it is answered."""
        self.stopping = True
        self.shutdown()
        for connection in list(self.open):
            try:
                connection.shutdown(socket.SHUT_RD)  # what has arrived is read; then comes the end
            except OSError:
                continue  # its client has gone


def main(model: str, host: str = "127.0.0.1", port: int = 8000) -> None:
    """Serve until a signal comes."""
    try:
        server = Server((host, port), Predictor(model))
    except (pel.DataError, pel.GraphError, OSError, OverflowError) as error:
        sys.exit(f"error: {error}")
    with server:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: threading.Thread(target=server.stop).start())
        print(f"serving {model} on http://{host}:{server.server_port}", flush=True)
        server.serve_forever(poll_interval=0.1)
    print("stopped", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Serve a model's predictions over HTTP.")
    parser.add_argument("model")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8000)
    main(**vars(parser.parse_args()))
