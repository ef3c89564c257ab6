// Names under localhost lead to this machine (RFC 6761), as in browsers; the system's resolver may not know.
import dns from "node:dns";

const { lookup } = dns;
dns.lookup = (name, ...rest) => lookup(name.endsWith(".localhost") ? "127.0.0.1" : name, ...rest);
