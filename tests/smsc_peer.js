// An SMSC for tests, on the npm package `smpp`: it decodes, answers and tells as it is told.
//
// Its standard input takes one JSON command a line; its standard output gives one JSON event a
// line. Commands: {do: "answers", with: [...]} for the next submissions, each "ok", "cut" (close
// without an answer), "hold" (never answer) or a command status; {do: "receipt", ...} sends a
// delivery receipt to every session; {do: "cut"} closes all sessions; {do: "forget"} forgets the
// answers that are still to be given. Each is followed by an event "told".
'use strict';
const readline = require('readline');
const smpp = require('smpp');

const sessions = new Set();
const answers = [];
let next = 0xa0;

function tell(event) {
  process.stdout.write(JSON.stringify(event) + '\n');
}

function textOf(message) {
  if (Buffer.isBuffer(message)) return message.toString('latin1');
  return message && message.message !== undefined ? textOf(message.message) : String(message);
}

function submitted(session, pdu, id) {
  const udh = pdu.short_message && pdu.short_message.udh;
  tell({
    event: 'submit',
    id,
    from: pdu.source_addr,
    to: pdu.destination_addr,
    text: textOf(pdu.short_message),
    udh: udh ? [].concat(udh).map((one) => Buffer.from(one).toString('hex')) : [],
    data_coding: pdu.data_coding,
    esm_class: pdu.esm_class,
    registered: pdu.registered_delivery,
    validity: pdu.validity_period ? String(pdu.validity_period) : '',
  });
}

const server = smpp.createServer((session) => {
  session.on('error', () => session.close());
  session.on('close', () => {
    if (sessions.delete(session)) tell({ event: 'closed' });
  });
  session.on('bind_transceiver', (pdu) => {
    if (pdu.password !== 'secret') {
      session.send(pdu.response({ command_status: smpp.ESME_RBINDFAIL }));
      tell({ event: 'refused' });
      return;
    }
    sessions.add(session);
    session.send(pdu.response());
    tell({ event: 'bound', system_id: pdu.system_id });
  });
  session.on('enquire_link', (pdu) => {
    session.send(pdu.response());
    tell({ event: 'enquired' });
  });
  session.on('unbind', (pdu) => {
    session.send(pdu.response());
    session.close();
  });
  session.on('deliver_sm_resp', (pdu) => tell({ event: 'acknowledged', status: pdu.command_status }));
  session.on('submit_sm', (pdu) => {
    const answer = answers.length ? answers.shift() : 'ok';
    const id = (next++).toString(16);
    submitted(session, pdu, typeof answer === 'number' ? '' : id);
    if (answer === 'cut') {
      session.socket.destroy();
    } else if (answer !== 'hold') {
      const fields = answer === 'ok' ? { message_id: id } : { command_status: answer };
      session.send(pdu.response(fields));
    }
  });
});

const commands = {
  answers: (command) => answers.push(...command.with),
  forget: () => { answers.length = 0; },
  cut: () => sessions.forEach((session) => session.socket.destroy()),
  receipt: (command) => sessions.forEach((session) => session.deliver_sm({
    source_addr: command.phone,
    destination_addr: 'SHOP',
    esm_class: 4,
    short_message: command.text,
    ...command.more,
  })),
};

readline.createInterface({ input: process.stdin }).on('line', (line) => {
  const command = JSON.parse(line);
  commands[command.do](command);
  tell({ event: 'told' });
}).on('close', () => process.exit(0));

server.listen(Number(process.argv[2]), '127.0.0.1', () => tell({ event: 'listening' }));
