"""Reads a customer's whole statement, page by page."""

import grpc

from loyalty.v1.customer_service_pb2 import CustomerReference, GetStatementRequest, StatementEntry
from loyalty.v1.customer_service_pb2_grpc import CustomerServiceStub

PAGE = 500
CALL_TIMEOUT_S = 20.0


async def read_statement(
    channel: grpc.aio.Channel, chain_id: str, customer_number: str
) -> list[StatementEntry]:
    """Read all entries of a customer.

    Args:
        channel: To a server.
        chain_id: Whose customer.
        customer_number: Which.
    """
    request = GetStatementRequest(
        chain_id=chain_id,
        customer=CustomerReference(customer_number=customer_number),
        page_size=PAGE,
    )
    found: list[StatementEntry] = []
    while True:
        page = await CustomerServiceStub(channel).GetStatement(request, timeout=CALL_TIMEOUT_S)
        found.extend(page.entries)
        if not page.next_page_token:
            return found
        request.page_token = page.next_page_token
