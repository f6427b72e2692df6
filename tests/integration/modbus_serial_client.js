// Reads and writes a device with modbus-serial, and prints what came as one line of JSON.
// Arguments: tcp HOST PORT | rtu-tcp HOST PORT | rtu PATH
"use strict";

const ModbusRTU = require("modbus-serial");

async function connect(client, [how, where, port]) {
  if (how === "tcp") return client.connectTCP(where, { port: Number(port) });
  // Its "TcpRTUBuffered" speaks Modbus TCP; RTU frames as they are leave its port for bridges.
  if (how === "rtu-tcp") return client.connectTelnet(where, { port: Number(port) });
  return client.connectRTUBuffered(where, { baudRate: 115200 });
}

async function main() {
  const client = new ModbusRTU();
  await connect(client, process.argv.slice(2));
  client.setTimeout(2000);
  client.setID(1);
  const seen = {};
  seen.holding = (await client.readHoldingRegisters(0, 125)).data;
  seen.input = (await client.readInputRegisters(5, 2)).data;
  seen.coils = (await client.readCoils(0, 4)).data.slice(0, 4);
  seen.discrete = (await client.readDiscreteInputs(1, 2)).data.slice(0, 2);
  await client.writeRegister(3, 77);
  await client.writeRegisters(4, [1, 2, 3]);
  await client.writeCoil(1, true);
  await client.writeCoils(8, [true, false, true]);
  // Its RTU ports do not know how long an answer to function 22 is, and that for bridges not that to 43: it would wait
  // in vain.
  if (process.argv[2] === "tcp") await client.maskWriteRegister(3, 0x00f0, 0x0005);
  seen.written = (await client.readHoldingRegisters(3, 4)).data;
  seen.refused = await client.readHoldingRegisters(500, 1).then(() => 0, (error) => error.modbusCode);
  if (process.argv[2] !== "rtu-tcp") seen.identity = (await client.readDeviceIdentification(1, 0)).data;
  console.log(JSON.stringify(seen));
  client.close(() => process.exit(0));
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
