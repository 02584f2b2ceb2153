// Package e2e holds what is tested and measured with the whole agent on a simulated rack and real parts around it. It
// has no code of its own: everything is in its test files.
//
//	go test -tags e2e ./agent/e2e
//	go test -run '^$' -bench . -benchtime 20x ./agent/e2e
//
// The tests (tag e2e) need mosquitto, mosquitto_pub, mosquitto_sub and mosquitto_passwd, and node with npm. The agent is
// built from a configuration file and dials as the product does; its buses are those of a simulated world. Commands come
// from mosquitto_pub; signed ones and their forgeries from a client in testdata/node, which has its own cryptography and
// MQTT. The judges stand outside: mosquitto_sub tells what the agent said, and the record of the world's buses, with the
// journal, what it did. What a broker does to one connection alone is tested in agent/link.
//
// TestMosquitto, TestNATS and TestRabbitMQ are one suite (broker_suite_test.go) against three kinds of broker, started
// with the configurations of config/brokers as they are shipped. They need openssl, node, npm and Debian's
// rabbitmq-server besides. Directory nats is a module of its own, which only says from what the NATS server is built;
// directory node is a client by other people.
//
// The benchmarks need Go alone. They use the embedded broker over loopback and compare with a bare MQTT echo in the
// same loop, because the numbers of a busy machine mean little by themselves. No number makes a benchmark fail.
//
// Directory mutants is a program that breaks the agent on purpose and expects its tests to notice.
package e2e
