"""The web server around an app."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

from ..errors import UserError

if TYPE_CHECKING:
    from flask import Flask

    from ..generation.arguments import GenerationDeployArguments


def run_web_service(app: Flask, args: GenerationDeployArguments) -> None:
    """Serve ``app`` with waitress at ``args.host`` and ``args.port`` until Ctrl-C.

    Raises:
        UserError: the port is in use or may not be used, or the host is not an address of this machine.
    """
    from waitress.server import create_server

    try:
        server = create_server(app, host=args.host, port=args.port, threads=8)
    except OSError as error:
        reasons = {errno.EADDRINUSE: "이미 쓰이고 있습니다", errno.EACCES: "쓸 권한이 없습니다"}
        reason = reasons.get(error.errno, f"열 수 없습니다({error.strerror})")
        advice = f"--port {args.port % 60000 + 1000}처럼 다른 포트를 지정하세요."
        raise UserError(f"{args.host}의 포트 {args.port}: {reason}. {advice}") from error
    port = getattr(server, "effective_port", args.port)
    host = f"[{args.host}]" if ":" in args.host else args.host
    print(f"웹 페이지: http://{host}:{port} (끝내려면 Ctrl-C)", flush=True)
    server.run()
