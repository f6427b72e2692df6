// A device made of modbus-serial's ServerTCP: registers hold their own address, coils are on where 3 divides theirs.
// Argument: PORT. Prints "ready" when it listens; beyond address 199 it refuses with exception 2.
"use strict";

const { ServerTCP } = require("modbus-serial");

const COUNT = 200;
const holding = Array.from({ length: COUNT }, (_, at) => at);
const coils = Array.from({ length: COUNT }, (_, at) => at % 3 === 0);

function within(table) {
  return (address) => {
    if (address >= COUNT) throw { modbusErrorCode: 2, msg: "no such address" };
    return table[address];
  };
}

const vector = {
  getHoldingRegister: within(holding),
  getInputRegister: within(holding.map((value) => value + 1000)),
  getCoil: within(coils),
  getDiscreteInput: within(coils.map((value) => !value)),
  setRegister: (address, value) => { within(holding)(address); holding[address] = value; },
  setCoil: (address, value) => { within(coils)(address); coils[address] = value; },
};

const server = new ServerTCP(vector, { host: "127.0.0.1", port: Number(process.argv[2]), unitID: 1 });
server.on("initialized", () => console.log("ready"));
server.on("socketError", () => {});
process.stdin.on("end", () => process.exit(0)).resume();
