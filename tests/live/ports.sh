# To be sourced: where engines listen.

# Prints so many ports of 127.0.0.1 that nobody listens on. They are below those that the system gives to
# whoever asks for any one, or connects: one of those may be somebody else's by the time that the engine
# starts, or starts again.
free_ports() {
    node -e '
        const { createServer } = require("node:net");
        const listen = () => new Promise((resolve) => {
            const port = 10000 + Math.floor(Math.random() * 22768);
            const server = createServer().on("error", () => resolve(listen()));
            server.listen(port, "127.0.0.1", () => resolve(server));
        });
        Promise.all(Array.from({ length: Number(process.argv[1]) }, listen)).then((servers) => {
            console.log(servers.map((server) => server.address().port).join(" "));
            servers.forEach((server) => server.close());
        });
    ' "$1"
}
