// The encoding in another language, made from docs/encoding-spec.md alone; nothing but Node's standard library.
//
// Reads {unicode: [[first code point, general category in Unicode 3.2], ...], cases: [{profile, secret, agreement,
// epoch, rows}, ...], texts: [{normaliser, max_length, text}, ...]} and writes what it makes of them.
import { createHash, createHmac } from "node:crypto";
import { readFileSync } from "node:fs";

const given = JSON.parse(readFileSync(0));

// Bytes

const bytes = (x) => (Buffer.isBuffer(x) ? x : Buffer.from(x, "utf8"));
const sha256 = (data) => createHash("sha256").update(data).digest();
const hmac = (name, key, data) => createHmac(name, key).update(data).digest();

function big(number, size) {
  const out = Buffer.alloc(size);
  out.writeUIntBE(number, Math.max(0, size - 6), Math.min(6, size));
  return out;
}

const lv = (...parts) => Buffer.concat(parts.map(bytes).flatMap((part) => [big(part.length, 2), part]));

// 1. and 2.: fingerprint, keys

function canonical(value) {
  if (Array.isArray(value)) return `[${value.map(canonical).join(",")}]`;
  if (value === null || typeof value !== "object") return JSON.stringify(value);
  const members = Object.keys(value).sort();
  return `{${members.map((key) => `${JSON.stringify(key)}:${canonical(value[key])}`).join(",")}}`;
}

function keysOf(profile, secret, agreement, epoch) {
  const fingerprint = sha256(canonical(profile));
  const prk = hmac("sha256", sha256(Buffer.concat([bytes(agreement), big(epoch, 8)])), secret);
  const expand = (...info) =>
    hmac("sha256", prk, Buffer.concat([lv(profile.scheme, ...info, fingerprint), Buffer.from([1])]));
  const groups = Object.fromEntries(profile.fields.map(({ group }) => [group, expand("field", group)]));
  return { fingerprint, prk, groups, eld: expand("eld"), key: expand("key"), kcv: expand("kcv") };
}

// 3. Normalisation, on Unicode 3.2

function category(character) {
  const code = character.codePointAt(0);
  let low = 0;
  let high = given.unicode.length - 1;
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if (given.unicode[middle][0] <= code) low = middle;
    else high = middle - 1;
  }
  return given.unicode[low][1];
}

const characters = (text) => Array.from(text);
const cut = (text, length) => characters(text).slice(0, length).join("");
const isLetter = (character) => category(character)[0] === "L";
const WHITE = /[\p{White_Space}\u001c-\u001f]/u;
const CORRECTED = new Map(
  [[0x2f868, 0x2136a], [0x2f874, 0x5f33], [0x2f91f, 0x43ab], [0x2f95f, 0x7aae], [0x2f9bf, 0x4d57]].map((pair) =>
    pair.map((code) => String.fromCodePoint(code)),
  ),
);

function nfkd(text) {
  return characters(text)
    .map((c) => CORRECTED.get(c) ?? (category(c) === "Cn" ? c : c.normalize("NFKD")))
    .join("");
}

function strip(text) {
  let out = "";
  for (const c of nfkd(text.replaceAll("ẞ", "ß"))) {
    if (WHITE.test(c)) out += " ";
    else if (!"MC".includes(category(c)[0])) out += c;
  }
  return out.replace(/ +/g, " ").replace(/^ | $/g, "");
}

const FOLDED = { ß: "ss", æ: "ae", œ: "oe", ø: "o", đ: "d", ð: "d", þ: "th", ł: "l", ħ: "h", ı: "i", ŋ: "n", ŧ: "t", ς: "σ" };
const fold = (text) => characters(text).map((c) => c.toLowerCase()).map((c) => FOLDED[c] ?? c).join("");

function words(text, digits) {
  let out = "";
  for (const c of text) {
    if ("'`’‘ʼʻ".includes(c)) continue;
    out += isLetter(c) || (digits && /[0-9]/.test(c)) ? c : " ";
  }
  return out.split(" ").filter((word) => word);
}

const SUFFIXES = new Set("jr sr ii iii iv junior senior esq md phd dds".split(" "));
const SHORT = Object.fromEntries(
  ("avenue ave,av ave,boulevard blvd,circle cir,court ct,drive dr,east e,highway hwy,lane ln,mount mt,north n," +
    "northeast ne,northwest nw,parkway pkwy,place pl,road rd,saint st,south s,southeast se,southwest sw,square sq," +
    "street st,terrace ter,trail trl,west w")
    .split(",")
    .map((pair) => pair.split(" ")),
);
const shortened = (list) => list.map((word) => SHORT[word] ?? word).join("");

function name(text, length) {
  const found = words(fold(cut(strip(text), length)), false);
  while (found.length > 1 && SUFFIXES.has(found.at(-1))) found.pop();
  return found.join("");
}

function date(text) {
  const stripped = strip(text);
  let found = /^(\d{4})-(\d{1,2})-(\d{1,2})(?:[T ]00:00(?::00(?:\.0+)?)?)?$/.exec(stripped);
  found ??= /^(\d{4})(\d{2})(\d{2})$/.exec(stripped);
  let [year, month, day] = found ? found.slice(1) : [];
  if (!found) {
    found = /^(\d{1,2})\/(\d{1,2})\/(\d{4})$/.exec(stripped);
    if (!found) return null;
    [month, day, year] = found.slice(1);
  }
  const real = new Date(Date.UTC(+year, month - 1, +day));
  if (real.getUTCMonth() !== month - 1 || real.getUTCDate() !== +day || year < 1850 || year > 2100) return null;
  return year + month.padStart(2, "0") + day.padStart(2, "0");
}

function ssn(text) {
  const digits = strip(text).replace(/[ -]/g, "");
  const bad = /^(000|666)|^...00|0000$|^(\d)\2{8}$|^(123456789|987654321|078051120)$/;
  return /^\d{9}$/.test(digits) && !bad.test(digits) ? digits : "";
}

function houseNumber(text, length) {
  const found = /(?<![0-9])[0-9]+[a-z]?(?![0-9a-z])/.exec(fold(strip(text)));
  return found ? cut(found[0].replace(/^0+/, ""), length) : "";
}

function street(text, length) {
  const found = words(fold(strip(text)), true);
  if (found.length > 1 && /^[0-9]+$/.test(found[0])) found.shift();
  return cut(shortened(found), length);
}

function integer(text) {
  const found = /^([+-]?)(\d{1,15})$/.exec(strip(text));
  return found ? String(found[1] === "-" ? -BigInt(found[2]) : BigInt(found[2])) : "";
}

const NORMALISERS = {
  name,
  initial: (text, length) => characters(name(text, length))[0] ?? "",
  date,
  ssn,
  sex: (text) => ({ m: "m", male: "m", f: "f", female: "f" })[fold(strip(text))] ?? "",
  zip: (text) => /^(?!00000|99999)(\d{5})(?:[ -]?\d{4})?$/.exec(strip(text))?.[1] ?? "",
  house_number: houseNumber,
  street,
  place: (text, length) => cut(shortened(words(fold(strip(text)), false)), length),
  integer,
  alphanumeric: (text, length) => cut(words(fold(strip(text)), true).join(""), length),
};

function valueOf(field, row) {
  const column = field.columns.find((each) => each in row);
  const cell = column === undefined ? "" : row[column];
  const trimmed = cell.trim().toLowerCase();
  if (trimmed === "" || field.missing.includes(trimmed)) return "";
  const value = NORMALISERS[field.normaliser](cell, field.max_length);
  return field.nicknames?.[value] ?? value;
}

// 4. Tokens, each with its number of positions

function numeric(rule, value) {
  const [b, d] = [BigInt(rule.resolution), BigInt(rule.distance)];
  const over = 4n * b * BigInt(value) + d;
  const middle = over / (2n * d) - (over % (2n * d) < 0n ? 1n : 0n);
  const out = [];
  for (let step = middle - b; step <= middle + b; step += 1n) out.push([String(step * d), rule.positions]);
  return out;
}

function tokens(rule, value) {
  const [y, m, d] = [value.slice(0, 4), value.slice(4, 6), value.slice(6)];
  const own = characters(value);
  switch (rule.kind) {
    case "qgram": {
      const pad = Array(rule.q - 1).fill("_");
      const all = [...pad, ...own, ...pad];
      return all.slice(rule.q - 1).map((_, at) => [all.slice(at, at + rule.q).join(""), rule.positions]);
    }
    case "date":
      return [[`y${y}`, rule.year], [`m${m}`, rule.month], [`d${d}`, rule.day]];
    case "date_pairs":
      return [`ym${y}${m}`, `md${m}${d}`, `yd${y}${d}`].map((text) => [text, rule.positions]);
    case "digits":
      return own.map((c, at) => [`${at}:${c}`, rule.positions]);
    case "exact":
      return [[value, rule.positions]];
    case "code": {
      if (own.length < rule.levels[0]) return [[`0:${value}`, rule.positions[0]]];
      const reached = rule.levels.filter((length) => own.length >= length);
      return reached.map((length, at) => [`${at}:${cut(value, length)}`, rule.positions[at]]);
    }
    default:
      return numeric(rule, value);
  }
}

// 5. to 7.: positions, diffusion, composite keys

function positions(key, salt, token, count, width) {
  const out = [];
  for (let c = 0; out.length < count; c++) {
    const digest = hmac("sha512", key, Buffer.concat([big(c, 4), lv(salt, token)]));
    for (let at = 0; at < 64 && out.length < count; at += 2) out.push(digest.readUInt16BE(at) & (width - 1));
  }
  return out;
}

function indexSets(key, filter) {
  const { t, width } = filter.hardening;
  const items = Array.from({ length: filter.width }, (_, at) => at);
  let [counter, digest, at] = [0, Buffer.alloc(0), 0];
  const word = () => {
    if (at === digest.length) {
      digest = hmac("sha512", key, Buffer.concat([big(counter++, 4), lv("index", filter.name)]));
      at = 0;
    }
    at += 4;
    return digest.readUInt32BE(at - 4);
  };
  return Array.from({ length: width }, () => {
    for (let j = 0; j < t; j++) {
      const n = filter.width - j;
      let found = word();
      while (found >= 2 ** 32 - (2 ** 32 % n)) found = word();
      const r = j + (found % n);
      [items[j], items[r]] = [items[r], items[j]];
    }
    return items.slice(0, t);
  });
}

function packed(bits) {
  const out = Buffer.alloc(bits.length / 8);
  bits.forEach((bit, at) => {
    if (bit) out[at >> 3] |= 128 >> (at & 7);
  });
  return out.toString("hex");
}

function composite(filter, fields, values, key) {
  if (fields.some((field) => !values[field.name])) return null;
  const parts = [filter.salt];
  for (const group of new Set(fields.map((field) => field.group))) {
    const own = fields.filter((field) => field.group === group);
    const texts = own.flatMap((field) => tokens(field.tokens, values[field.name]).map(([text]) => bytes(text)));
    parts.push(group, ...texts.sort(Buffer.compare));
  }
  return hmac("sha512", key, lv(...parts)).subarray(0, filter.width / 8).toString("hex");
}

function bloom(filter, fields, values, groups) {
  const held = filter.require.every((item) => item.split("|").some((each) => values[each]));
  if (!held || !fields.some((field) => values[field.name])) return null;
  const bits = new Uint8Array(filter.width);
  const seen = {};
  for (const field of fields.filter((each) => values[each.name])) {
    for (const [text, count] of tokens(field.tokens, values[field.name])) {
      const place = `${field.group} ${text}`;
      seen[place] = (seen[place] ?? 0) + 1;
      const found = positions(groups[field.group], filter.salt, `${text}#${seen[place]}`, count, filter.width);
      for (const position of found) bits[position] = 1;
    }
  }
  return bits;
}

function encode({ profile, secret, agreement, epoch, rows }) {
  const keys = keysOf(profile, Buffer.from(secret, "hex"), agreement, epoch);
  const byName = Object.fromEntries(profile.fields.map((field) => [field.name, field]));
  const sets = Object.fromEntries(
    profile.filters.filter((f) => f.hardening.kind === "diffusion").map((f) => [f.name, indexSets(keys.eld, f)]),
  );
  const records = rows.map((row) => {
    const values = Object.fromEntries(profile.fields.map((field) => [field.name, valueOf(field, row)]));
    const filters = profile.filters.map((filter) => {
      const fields = filter.fields.map((each) => byName[each]);
      if (filter.hardening.kind === "key") return [filter.name, composite(filter, fields, values, keys.key)];
      const bits = bloom(filter, fields, values, keys.groups);
      if (bits === null || filter.hardening.kind === "none") return [filter.name, bits && packed([...bits])];
      return [filter.name, packed(sets[filter.name].map((set) => set.reduce((sum, at) => sum ^ bits[at], 0)))];
    });
    return Object.fromEntries(filters);
  });
  const hex = (key) => key.toString("hex");
  return { fingerprint: hex(keys.fingerprint), prk: hex(keys.prk), kcv: hex(keys.kcv), records };
}

const texts = given.texts.map(({ normaliser, max_length, text }) => NORMALISERS[normaliser](text, max_length));
process.stdout.write(JSON.stringify({ cases: given.cases.map(encode), texts }));
