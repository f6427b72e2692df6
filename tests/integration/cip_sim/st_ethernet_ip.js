// A client of Logix controllers in JavaScript: node st_ethernet_ip.js PORT connected|unconnected
// Prints one JSON object: what it uploaded, read, was refused and wrote.
require("st-ethernet-ip/dist/config").EIP_PORT = Number(process.argv[2]);
const { Controller } = require("st-ethernet-ip");

const plain = (_, value) => (typeof value === "bigint" ? Number(value) : value);

async function main() {
  const plc = new Controller(process.argv[3] === "connected");
  const seen = { values: {}, refused: {} };
  await plc.connect("127.0.0.1", 0);
  seen.name = plc.properties.name;
  seen.tags = plc.tagList.map((tag) => (tag.program ? `Program:${tag.program}.${tag.name}` : tag.name));
  const tag = async (name, program = null, dimensions = 0, size = 1) => {
    const made = plc.newTag(name, program, false, dimensions, size);
    made.state.read_size = size;
    await plc.readTag(made, size);
    return made;
  };
  for (const name of ["Speed", "Count", "On", "Arr[3]", "Big", "Count.1", "Text", "Short", "Motor1", "Motors[39]"]) {
    seen.values[name] = (await tag(name)).value;
  }
  seen.values.Level = (await tag("Level", "Main")).value;
  seen.values.Arr = (await tag("Arr", null, 1, 10)).value;
  seen.values.Huge = (await tag("Huge", null, 1, 5000)).value;
  await tag("Nope").catch((error) => (seen.refused.Nope = [error.generalStatusCode, error.extendedStatus]));
  for (const [name, value] of Object.entries({ Speed: 9.5, Count: 78, On: false, Text: "node" })) {
    const made = await tag(name);
    made.value = value;
    await plc.writeTag(made);
  }
  const motor = await tag("Motor1");
  motor.value.Name = "joe";
  motor.value.Axis.Homed = false;
  await plc.writeTag(motor);
  const fixed = await tag("Fixed");
  fixed.value = 6;
  await plc.writeTag(fixed).catch((error) => (seen.refused.Fixed = [error.generalStatusCode, error.extendedStatus]));
  await plc.disconnect();
  return seen;
}

main().then(
  (seen) => process.stdout.write(JSON.stringify(seen, plain) + "\n", () => process.exit(0)),
  (error) => {
    console.error(error);
    process.exit(1);
  },
);
