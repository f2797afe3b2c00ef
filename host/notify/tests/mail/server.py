"""A mail server that behaves as its first argument says, for the tests of delivery.

It prints its port, and then one line of JSON for each message that it accepts. `--certificate` and `--key` switch TLS
on; `--implicit` uses it from the first byte.
"""

import argparse
import asyncio
import json
import ssl

from aiosmtpd.smtp import SMTP, AuthResult


def print_line(value):
    print(json.dumps(value), flush=True)


class Handler:
    def __init__(self, behavior):
        self.behavior = behavior
        self.recipients_seen = 0

    async def handle_RCPT(self, server, session, envelope, address, options):
        self.recipients_seen += 1
        if self.behavior == "reject":
            return "550 5.1.1 no such user"
        if self.behavior == "greylist" and self.recipients_seen == 1:
            return "451 4.7.1 greylisted, try again"
        if self.behavior == "slow":
            await asyncio.Event().wait()
        envelope.rcpt_tos.append(address)
        return "250 2.1.5 ok"

    async def handle_DATA(self, server, session, envelope):
        print_line({
            "from": envelope.mail_from,
            "to": envelope.rcpt_tos,
            "tls": server.transport.get_extra_info("ssl_object") is not None,
            "user": (session.auth_data or b"").decode(),
            "host": session.host_name,
            "content": envelope.content.decode("ascii"),
        })
        if self.behavior == "drop":
            server.transport.abort()
            await asyncio.Event().wait()
        return "250 2.0.0 Ok: queued as 4F2"


def authenticate(server, session, envelope, mechanism, data):
    is_known = data.login == b"relay" and data.password == b"canary-relay-secret"
    return AuthResult(success=is_known, handled=False, auth_data=data.login)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("behavior")
    parser.add_argument("--certificate")
    parser.add_argument("--key")
    parser.add_argument("--implicit", action="store_true")
    arguments = parser.parse_args()

    context = None
    if arguments.certificate:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(arguments.certificate, arguments.key)
    starttls = None if arguments.implicit else context

    async def serve():
        loop = asyncio.get_running_loop()
        handler = Handler(arguments.behavior)

        def make():
            return SMTP(
                handler,
                tls_context=starttls,
                require_starttls=starttls is not None,
                authenticator=authenticate,
                auth_required=context is not None,
                auth_require_tls=not arguments.implicit,
                hostname="mail.example.test",
                loop=loop,
            )

        server = await loop.create_server(
            make, "127.0.0.1", 0, ssl=context if arguments.implicit else None
        )
        print_line({"port": server.sockets[0].getsockname()[1]})
        await server.serve_forever()

    asyncio.run(serve())


main()
