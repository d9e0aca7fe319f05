import assert from "node:assert/strict";
import { test } from "node:test";
import { Template } from "./template.ts";
import { GoStruct, mapsFromJson, structsFromJson, type GoValue } from "./values.ts";

const data = new GoStruct("*formatter.ContainerContext", {
  Names: "web",
  Image: "nginx:latest",
  State: "running",
  Ports: "80/tcp",
  Count: 3,
  Empty: "",
  Args: ["-g", "daemon off;"],
  Labels: new Map<string, GoValue>([
    ["b", "2"],
    ["a", "1"],
  ]),
  Label: (name: GoValue) => `label ${name as string}`,
  ID: () => "abc",
});

// What the official docker CLI prints for the same templates over the same values.
const results: readonly [template: string, output: string][] = [
  ["{{.Names}}", "web"],
  ["{{.ID}}:{{.Label `x.y`}}", "abc:label x.y"],
  ["a {{- .Names -}}  b", "awebb"],
  ["{{/* nothing */}}x{{- /* nothing */ -}} y", "xy"],
  [
    "{{.Labels}} {{.Args}} {{json .Labels}} {{json .Args}}",
    'map[a:1 b:2] [-g daemon off;] {"a":"1","b":"2"} ["-g","daemon off;"]',
  ],
  ["{{range $k, $v := .Labels}}{{$k}}={{$v}},{{end}}", "a=1,b=2,"],
  ["{{range $i, $e := .Args}}{{$i}}{{$e}}{{else}}none{{end}}", "0-g1daemon off;"],
  ["{{range .Empty | split `:`}}{{.}}{{end}}", ":"],
  ["{{range 3}}{{.}}{{end}}", "012"],
  ['{{range split .Image ":"}}{{if eq . "nginx"}}{{continue}}{{end}}{{.}}{{break}}{{end}}', "latest"],
  ['{{if and (eq .State "running") .Ports}}y{{else if .Ports}}z{{else}}n{{end}}', "y"],
  ["{{if .Empty}}y{{else if eq .Count 3}}three{{else}}n{{end}}", "three"],
  ["{{with $x := .State}}{{$x}}{{.}}{{else}}n{{end}}", "runningrunning"],
  ["{{$y := 1}}{{$y = 2}}{{$y}}", "2"],
  ["{{$n := .Names}}{{with .State}}{{$n}}{{$.Names}}{{end}}", "webweb"],
  ['{{define "x"}}[{{.}}]{{end}}{{template "x" .Names}}', "[web]"],
  ['{{block "a" .State}}<{{.}}>{{end}}', "<running>"],
  ["{{index .Labels `a`}}{{index .Args 1}}|{{index .Labels `zz`}}|{{.Labels.a}}", "1daemon off;||1"],
  ["{{len .Names}} {{len .Args}} {{len .Labels}}", "3 2 2"],
  ["{{slice .Names 1}} {{slice .Args 0 1}}", "eb [-g]"],
  [
    "{{upper .Names}} {{title .State}} {{lower `ABC`}} {{split .Image `:`}} {{join (split .Image `:`) `-`}}",
    "WEB Running abc [nginx latest] nginx-latest",
  ],
  ["{{pad .State 1 2}}|{{truncate .Image 3}}", " running  |ngi"],
  ['{{printf "%-10s|%5d|%v|%q|%x" .Names 42 true .State .Names}}', 'web       |   42|true|"running"|776562'],
  [
    '{{printf "%d" .Names}} {{printf "%s"}} {{printf "%s" 1}} {{printf "x" 1}}',
    "%!d(string=web) %!s(MISSING) %!s(int=1) x%!(EXTRA int=1)",
  ],
  ['{{printf "%.2f %e %05d %+d %T %%" 3.14159 1.5 42 7 .Args}}', "3.14 1.500000e+00 00042 +7 []string %"],
  ['{{.Names | printf "%s-%s" "a"}}', "a-web"],
  ['{{print 1 2 "x" 3}}{{println "x" 1}}', "1 2x3x 1\n"],
  ['{{html "<a>"}} {{js "<a\'>"}} {{urlquery "a b&c"}}', "&lt;a&gt; \\u003Ca\\'\\u003E a+b%26c"],
  [
    '{{eq .State "running"}} {{eq 1 2 1}} {{ne 1 2}} {{lt 1 2}} {{le 2 2}} {{gt `b` `a`}} {{ge 1 2}}',
    "true true true true true true false",
  ],
  ['{{and 1 0}} {{or 0 "x"}} {{not true}}', "0 x false"],
  ["{{1.5}} {{0x10}} {{'a'}} {{true}} {{`raw`}} {{\"\\u00e9\\t\"}}", "1.5 16 97 true raw é\t"],
  ["{{(index .Args 0)}}{{.Names|}}", "-gweb"],
];

for (const [source, output] of results) {
  test(`prints ${source}`, () => assert.equal(new Template(source).execute(data), output));
}

const failures: readonly [template: string, message: string][] = [
  ["{{.Names", "template: :1: unclosed action"],
  ["{{.Foo}", "template: :1: bad character U+007D '}'"],
  ["{{if}}", "template: :1: missing value for if"],
  ["{{}}", "template: :1: missing value for command"],
  ["{{foo}}", 'template: :1: function "foo" not defined'],
  ["a\n{{if .Names}}", "template: :2: unexpected EOF"],
  ["{{end}}", "template: :1: unexpected {{end}}"],
  ["{{else}}", "template: :1: unexpected {{else}}"],
  ["{{$x}}", 'template: :1: undefined variable "$x"'],
  ['{{"a}}', "template: :1: unterminated quoted string"],
  ["{{.Names)}}", "template: :1: unexpected right paren"],
  ["{{(.Names}}", "template: :1: unclosed left paren"],
  ["{{break}}", "template: :1: {{break}} outside {{range}}"],
  ["{{/* x}}", "template: :1: unclosed comment"],
];

for (const [source, message] of failures) {
  test(`cannot read ${source}`, () => assert.throws(() => new Template(source), { message }));
}

const mistakes: readonly [template: string, message: string][] = [
  [
    "{{.Foo}}",
    'template: :1:2: executing "" at <.Foo>: can\'t evaluate field Foo in type *formatter.ContainerContext',
  ],
  [
    "{{.Names.Foo}}",
    'template: :1:8: executing "" at <.Names.Foo>: can\'t evaluate field Foo in type string',
  ],
  ["{{.Label}}", 'template: :1:2: executing "" at <.Label>: wrong number of args for Label: want 1 got 0'],
  [
    '{{eq 1 "x"}}',
    'template: :1:2: executing "" at <eq 1 "x">: error calling eq: incompatible types for comparison',
  ],
  ["{{len 3}}", 'template: :1:2: executing "" at <len 3>: error calling len: len of type int'],
  ["{{nil}}", 'template: :1:2: executing "" at <nil>: nil is not a command'],
  [
    "{{split .Names}}",
    'template: :1:2: executing "" at <split>: wrong number of args for split: want 2 got 1',
  ],
  ['{{template "x"}}', 'template: :1:11: executing "" at <{{template "x"}}>: template "x" not defined'],
  [
    '{{index .Names "a"}}',
    'template: :1:2: executing "" at <index .Names "a">: error calling index: cannot index slice/array with type string',
  ],
  [
    "{{index .Args 7}}",
    'template: :1:2: executing "" at <index .Args 7>: error calling index: index out of range: 7',
  ],
  ["{{range .Names}}{{end}}", 'template: :1:8: executing "" at <.Names>: range can\'t iterate over web'],
  [
    '{{define "x"}}{{.Foo}}{{end}}{{template "x" .Names}}',
    'template: :1:16: executing "x" at <.Foo>: can\'t evaluate field Foo in type string',
  ],
  [
    '{{define "x"}}{{template "x"}}{{end}}{{template "x"}}',
    'template: :1:25: executing "x" at <nil>: exceeded maximum template depth (1000)',
  ],
];

for (const [source, message] of mistakes) {
  test(`fails over ${source}`, () => assert.throws(() => new Template(source).execute(data), { message }));
}

test("maps tell what they lack when asked to, and print <no value> otherwise", () => {
  const map = mapsFromJson({ a: { b: null } });
  assert.equal(new Template("{{.x}} {{.a.b}} {{.x.y}}").execute(map), "<no value> <nil> <no value>");
  assert.throws(() => new Template("{{.a.x}}").execute(map, { missingKeyIsError: true }), {
    message: 'template: :1:4: executing "" at <.a.x>: map has no entry for key "x"',
  });
  assert.throws(() => new Template("{{.a.b.c}}").execute(map), /nil pointer evaluating interface \{\}\.c/);
});

test("objects become structs, and nil is printed by the type that the shape says", () => {
  const shape = {
    maps: new Set(["Labels", "LogConfig.Config"]),
    pointers: new Set(["Init"]),
    zeros: { Health: null },
  };
  const json = {
    Config: { Labels: { z: "1", a: "2" } },
    LogConfig: { Config: {} },
    Init: null,
    Binds: null,
    Labels: null,
  };
  const value = structsFromJson(json, shape);
  assert.equal(
    new Template("{{.Config}} {{.LogConfig}} {{.Init}} {{.Binds}} {{.Labels}} {{.Health}}").execute(value),
    "{map[a:2 z:1]} {map[]} <nil> [] map[] <nil>",
  );
  assert.equal(
    new Template("{{json .}}").execute(value),
    '{"Config":{"Labels":{"a":"2","z":"1"}},"LogConfig":{"Config":{}},"Init":null,"Binds":null,"Labels":null}',
  );
});
