// A client of nodes7: lines of JSON in, lines of JSON out. Arguments: port, rack, slot.
"use strict";
const readline = require("readline");
const NodeS7 = require("nodes7");

const connection = new NodeS7({ silent: true });
const [port, rack, slot] = process.argv.slice(2).map(Number);

function tell(what) {
  process.stdout.write(JSON.stringify(what) + "\n");
}

function read(addresses) {
  connection.removeItems();
  connection.addItems(addresses);
  connection.readAllItems((bad, values) => tell({ bad: Boolean(bad), values }));
}

function write(addresses, values) {
  // It refuses, by its return value, while it is still at something else.
  const refused = connection.writeItems(addresses, values, (bad) => tell({ bad: Boolean(bad) }));
  if (refused) tell({ bad: true, busy: true });
}

connection.initiateConnection({ host: "127.0.0.1", port, rack, slot, timeout: 3000 }, (error) => {
  if (error) {
    tell({ error: String(error) });
    process.exit(1);
  }
  tell({ connected: true });
});

readline.createInterface({ input: process.stdin }).on("line", (line) => {
  const order = JSON.parse(line);
  if (order.read) read(order.read);
  else if (order.write) write(order.write, order.values);
  else connection.dropConnection(() => process.exit(0));
});
