import assert from "node:assert/strict";
import { test } from "node:test";
import { proxyFor } from "./proxy.ts";

test("which proxy a URL goes through", () => {
  const proxies = { HTTP_PROXY: "http://plain.test:1", HTTPS_PROXY: "secure.test:2" };
  const rows: [url: string, noProxy: string, expected: string | undefined][] = [
    ["http://reg.test/", "", "http://plain.test:1"],
    ["https://reg.test/", "", "http://secure.test:2"],
    ["https://localhost:5000/", "", undefined],
    ["https://127.0.0.1:5000/", "", undefined],
    ["https://[::1]:5000/", "", undefined],
    ["https://reg.test/", "*", undefined],
    ["https://reg.test/", "reg.test", undefined],
    ["https://a.reg.test/", "reg.test", undefined],
    ["https://a.reg.test/", ".reg.test", undefined],
    ["https://reg.test/", ".reg.test", "http://secure.test:2"],
    ["https://a.reg.test/", "*.reg.test", undefined],
    ["https://xreg.test/", "reg.test", "http://secure.test:2"],
    ["https://reg.test:5000/", "reg.test:5000", undefined],
    ["https://reg.test/", "reg.test:443", undefined],
    ["https://reg.test/", "reg.test:5000", "http://secure.test:2"],
    ["https://10.1.2.3/", "10.0.0.0/8", undefined],
    ["https://10.1.2.3/", "11.0.0.0/8, 10.1.2.3", undefined],
    ["https://10.1.2.3/", "10.1.2.4", "http://secure.test:2"],
    ["https://reg.test/", "10.0.0.0/8", "http://secure.test:2"],
  ];
  for (const [url, NO_PROXY, expected] of rows)
    assert.equal(proxyFor(new URL(url), { ...proxies, NO_PROXY }), expected, `${url} with ${NO_PROXY}`);
  assert.equal(proxyFor(new URL("https://reg.test/"), {}), undefined);
  assert.equal(proxyFor(new URL("https://reg.test/"), { https_proxy: "http://low.test" }), "http://low.test");
});
