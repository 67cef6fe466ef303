// The peer: Bun's own publish, with the same paths and the same bytes as `sterna-bench serve`.
//
// GET /follow?streams=a,b subscribes; a binary message on /publish is [length of name][name][frame] and is
// published to everybody who follows that name.

type Session = { streams: string[]; publishes: boolean };

const server = Bun.serve<Session>({
  port: Number(process.argv[2]),
  hostname: "127.0.0.1",
  fetch(request, server) {
    const url = new URL(request.url);
    const streams = (url.searchParams.get("streams") ?? "").split(",").filter(Boolean);
    const data = { streams, publishes: url.pathname === "/publish" };
    return server.upgrade(request, { data }) ? undefined : new Response("upgrade only", { status: 400 });
  },
  websocket: {
    perMessageDeflate: false,
    idleTimeout: 0,
    open(socket) {
      for (const stream of socket.data.streams) socket.subscribe(stream);
    },
    message(socket, message) {
      if (!socket.data.publishes || typeof message === "string") return;
      const length = message[0];
      const name = message.subarray(1, 1 + length).toString();
      server.publish(name, message.subarray(1 + length));
    },
  },
});
console.log(`listening on ${server.port}`);

// Whoever started it holds its standard input.
process.stdin.on("end", () => process.exit(0)).resume();
